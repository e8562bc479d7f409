"""The whole task: what it says, its versions, and waiting for it to change."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from avatars.waiting import LOCKS, TAKE_PLACE
from facet.settings import settings
from tests.conftest import Settings
from tests.functions import api
from tests.servers import postgres

Sql = psycopg.Connection[tuple[Any, ...]]

FIELDS = {
    "request_uuid", "status", "progress", "stage", "queue_position", "revision", "attempt", "test_mode", "created_at",
    "started_at", "finished_at", "failure", "files", "mesh_metadata", "options", "metadata", "retry_of",
}  # fmt: skip


def read(headers: dict[str, str], request_uuid: str, **more: str) -> api.Answer:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return api.of_task("get_task", "GET", {**headers, **named}, request_uuid)


def made(photo: bytes, email: str = "ada@example.org") -> tuple[dict[str, str], str]:
    headers = api.person(email).headers
    return headers, api.create(headers, photo).json()["request_uuid"]


def moment(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def test_a_waiting_task_is_shown_whole(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    answer = read(headers, request_uuid)
    assert answer.status == 200
    task = answer.json()
    assert set(task) == FIELDS
    told = {name: task[name] for name in FIELDS - {"created_at", "files"}}
    assert told == {
        "request_uuid": request_uuid, "status": "PENDING", "progress": 0, "stage": None, "queue_position": 1,
        "revision": 2, "attempt": 1, "test_mode": False, "started_at": None, "finished_at": None, "failure": None,
        "mesh_metadata": None, "options": {}, "metadata": {}, "retry_of": None,
    }  # fmt: skip
    assert abs(datetime.now(UTC) - moment(task["created_at"])) < timedelta(minutes=1)
    assert [file["name"] for file in task["files"]] == ["photo.jpg"]
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["cache-control"] == "private, no-cache"


def test_a_finished_task_has_its_files_and_what_is_known_of_the_mesh(photo: bytes, model: bytes) -> None:
    headers, request_uuid = made(photo)
    api.finish(request_uuid, model)
    answer = read(headers, request_uuid)
    task = answer.json()
    assert (task["status"], task["progress"], task["queue_position"]) == ("SUCCESS", 100, None)
    assert task["mesh_metadata"] == {"skin_color_hex": "#ba997a", "vertices": None, "triangles": None}
    assert moment(task["finished_at"]) >= moment(task["created_at"])
    assert "retry-after" not in answer.headers
    _, glb = task["files"]
    assert {name: glb[name] for name in ("name", "content_type", "bytes", "sha256", "link")} == {
        "name": "model.glb",
        "content_type": "model/gltf-binary",
        "bytes": len(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "link": f"/api/v1/3d-model-generation/tasks/{request_uuid}/files/model.glb",
    }
    for file in task["files"]:
        download = httpx.get(file["url"], trust_env=False)
        assert hashlib.sha256(download.content).hexdigest() == file["sha256"]
        assert len(download.content) == file["bytes"]


def test_a_failed_task_says_why(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    error = {"code": "NO_FACE", "message": "no face was found"}
    api.consume({"request_uuid": request_uuid, "status": "INVALID_INPUT", "error": error})
    task = api.task(headers, request_uuid)
    assert (task["status"], task["failure"], task["mesh_metadata"]) == ("INVALID_INPUT", error, None)


def test_progress_and_stage_are_told(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    api.consume({"request_uuid": request_uuid, "status": "IN_PROGRESS", "progress": 40, "stage": "texturing"})
    task = api.task(headers, request_uuid)
    told = [task[name] for name in ("status", "progress", "stage", "queue_position")]
    assert told == ["IN_PROGRESS", 40, "texturing", None]
    assert moment(task["started_at"]) >= moment(task["created_at"])


def test_the_position_counts_the_waiting_tasks_of_everybody(photo: bytes) -> None:
    ada, eve = api.person(), api.person("eve@example.org")
    first, second, third = (api.create(who.headers, photo).json()["request_uuid"] for who in (ada, eve, ada))
    assert [api.task(ada.headers, each)["queue_position"] for each in (first, third)] == [1, 3]
    api.consume({"request_uuid": first, "status": "IN_PROGRESS"})
    assert api.task(eve.headers, second)["queue_position"] == 1
    assert api.task(ada.headers, third)["queue_position"] == 2


def test_links_of_a_key_stay_below_integrations_and_follow_the_prefix(
    monkeypatch: pytest.MonkeyPatch, photo: bytes
) -> None:
    key = api.new_key()
    request_uuid = api.create(key, photo, integrations=True).json()["request_uuid"]
    path = f"/integrations/3d-model-generation/tasks/{request_uuid}"
    assert api.task(key, request_uuid, integrations=True)["files"][0]["link"] == f"/api/v1{path}/files/photo.jpg"
    monkeypatch.setenv("PATH_PREFIX", "/api/v1/avatars")
    settings.cache_clear()
    answer = api.request("get_task", "GET", f"/avatars{path}", headers=key)
    assert answer.json()["files"][0]["link"] == f"/api/v1/avatars{path}/files/photo.jpg"


def test_two_answers_in_one_half_hour_are_equal_to_the_byte(photo: bytes, model: bytes) -> None:
    headers, request_uuid = made(photo)
    api.finish(request_uuid, model)
    first = read(headers, request_uuid)
    time.sleep(1.1)  # a signature tells whole seconds
    again = read(headers, request_uuid)
    assert (first.body, first.headers["etag"]) == (again.body, again.headers["etag"])
    for file in first.json()["files"]:
        query = parse_qs(urlsplit(file["url"]).query)
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert moment(file["expires_at"]) == signed + timedelta(seconds=int(query["X-Amz-Expires"][0]))


def test_after_half_an_hour_the_urls_and_the_etag_are_new(sql: Sql, photo: bytes) -> None:
    headers, request_uuid = made(photo)
    first = read(headers, request_uuid)
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET created_at = created_at - interval '31 minutes'")
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
    later = read(headers, request_uuid, if_none_match=first.headers["etag"])
    assert later.status == 200
    assert later.json()["files"][0]["url"] != first.json()["files"][0]["url"]
    assert moment(later.json()["files"][0]["expires_at"]) > datetime.now(UTC) + timedelta(minutes=30)


def test_what_a_client_has_is_not_sent_again_until_it_changes(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    etag = read(headers, request_uuid).headers["etag"]
    assert etag.startswith('W/"')
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        answer = read(headers, request_uuid, if_none_match=known)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == etag
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["retry-after"] == "2"
    api.consume({"request_uuid": request_uuid, "status": "IN_PROGRESS", "progress": 1})
    answer = read(headers, request_uuid, if_none_match=etag)
    assert (answer.status, answer.json()["progress"]) == (200, 1)
    assert answer.headers["etag"] != etag


def test_a_move_in_the_queue_is_another_version(photo: bytes) -> None:
    headers, first = made(photo)
    second = api.create(headers, photo).json()["request_uuid"]
    etag = read(headers, second).headers["etag"]
    api.consume({"request_uuid": first, "status": "IN_PROGRESS"})
    answer = read(headers, second, if_none_match=etag)
    assert (answer.status, answer.json()["queue_position"]) == (200, 1)


@pytest.mark.parametrize("no_uuid", ["1", "not-a-uuid", "x" * 300, "9c1d8c0e-0000-4000-8000-000000000000"])
def test_an_unknown_task_is_a_problem(no_uuid: str) -> None:
    answer = read(api.person().headers, no_uuid)
    assert (answer.status, answer.json()["code"]) == (404, "TASK_NOT_FOUND")
    assert answer.headers["content-type"] == "application/problem+json"


@contextmanager
def waiting(sql: Sql, headers: dict[str, str], request_uuid: str, **more: str) -> Iterator["Future[api.Answer]"]:
    """A client that waits, while the block does something. It must have its answer soon after."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(read, headers, request_uuid, prefer="wait=20", **more)
        while not places_taken(sql):
            assert not answer.done(), answer.result()
        yield answer
        answer.result(timeout=10)
    assert places_taken(sql) == 0


def places_taken(sql: Sql) -> int:
    row = sql.execute(
        """
        SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
        WHERE locktype = 'advisory' AND classid = %s AND granted AND datname = current_database()
        """,
        (LOCKS,),
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits fails."""

    def refuse(seconds: float) -> None:
        raise AssertionError("it waited")

    monkeypatch.setattr("avatars.waiting.time.sleep", refuse)


@pytest.mark.parametrize("with_etag", [False, True])
def test_a_waiting_client_is_answered_when_the_task_changes(sql: Sql, photo: bytes, with_etag: bool) -> None:
    headers, request_uuid = made(photo)
    known = {"if_none_match": read(headers, request_uuid).headers["etag"]} if with_etag else {}
    with waiting(sql, headers, request_uuid, **known) as answer:
        sql.execute("UPDATE tasks SET progress = 7, revision = revision + 1")
    assert (answer.result().status, answer.result().json()["progress"]) == (200, 7)
    assert answer.result().headers["preference-applied"] == "wait=20"


def test_a_client_that_waits_for_a_task_that_is_deleted_is_told(sql: Sql, photo: bytes) -> None:
    headers, request_uuid = made(photo)
    with waiting(sql, headers, request_uuid) as answer:
        sql.execute("DELETE FROM tasks")
    assert answer.result().status == 404
    assert answer.result().json()["code"] == "TASK_NOT_FOUND"


def test_when_the_time_is_over_the_state_is_told_again_or_304(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    begun = time.monotonic()
    answer = read(headers, request_uuid, prefer="wait=1")
    assert time.monotonic() - begun >= 1
    assert (answer.status, answer.headers["preference-applied"]) == (200, "wait=1")
    etag = answer.headers["etag"]
    answer = read(headers, request_uuid, prefer="wait=1", if_none_match=etag)
    assert (answer.status, answer.headers["preference-applied"]) == (304, "wait=1")


@pytest.mark.usefixtures("no_pause")
def test_nobody_waits_who_has_not_the_newest_state(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    answer = read(headers, request_uuid, prefer="wait=20", if_none_match='W/"1-0-0"')
    assert (answer.status, answer.headers["preference-applied"]) == (200, "wait=20")


@pytest.mark.usefixtures("no_pause")
def test_nobody_waits_for_a_finished_task(photo: bytes, model: bytes) -> None:
    headers, request_uuid = made(photo)
    api.finish(request_uuid, model)
    answer = read(headers, request_uuid, prefer="wait=20")
    assert (answer.status, answer.json()["status"]) == (200, "SUCCESS")
    etag = answer.headers["etag"]
    assert read(headers, request_uuid, prefer="wait=20", if_none_match=etag).status == 304


@pytest.mark.usefixtures("no_pause")
def test_no_seconds_are_no_wait(photo: bytes) -> None:
    answer = read(*made(photo), prefer="wait=0")
    assert (answer.status, answer.headers["preference-applied"]) == (200, "wait=0")


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("prefer", ["wait=-1", "wait", "wait=soon", "respond-async", "", "wait=1.5", "=,;"])
def test_a_preference_that_is_none_is_ignored(photo: bytes, prefer: str) -> None:
    answer = read(*made(photo), prefer=prefer)
    assert answer.status == 200
    assert "preference-applied" not in answer.headers


@pytest.mark.usefixtures("no_pause")
def test_when_all_places_are_taken_the_next_is_answered_at_once(
    clean: Settings, monkeypatch: pytest.MonkeyPatch, photo: bytes
) -> None:
    monkeypatch.setenv("LONG_POLL_WAITERS", "2")
    settings.cache_clear()
    headers, request_uuid = made(photo)
    with postgres(clean) as one, postgres(clean) as other:
        for conn in (one, other):
            conn.execute(TAKE_PLACE, (2, LOCKS))
        answer = read(headers, request_uuid, prefer="wait=20")
    assert (answer.status, answer.headers["retry-after"]) == (200, "2")
    assert "preference-applied" not in answer.headers


@pytest.mark.usefixtures("no_pause")
def test_without_places_nobody_waits(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    monkeypatch.setenv("LONG_POLL_WAITERS", "0")
    settings.cache_clear()
    answer = read(*made(photo), prefer="wait=20")
    assert answer.status == 200
    assert "preference-applied" not in answer.headers


def test_nobody_waits_longer_than_the_invocation_may_last(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    monkeypatch.setattr("functions.get_task.handler._seconds_left", lambda: 3.2)
    headers, request_uuid = made(photo)
    begun = time.monotonic()
    assert read(headers, request_uuid, prefer="wait=20").status == 200
    assert time.monotonic() - begun < 15


def test_a_simulated_task_goes_on_when_it_is_read_by_whatever_route(sql: Sql, photo: bytes) -> None:
    for path in ("", "/status", "/result"):
        headers, request_uuid = made(photo, f"ada{path.strip('/')}@example.org")
        api.simulate(sql, request_uuid, seconds=-1)
        assert api.of_task(f"get_task{path.replace('/', '_')}", "GET", headers, request_uuid, path).status == 200
        row = sql.execute("SELECT status FROM tasks WHERE request_uuid = %s", (request_uuid,)).fetchone()
        assert row == ("SUCCESS",)


def test_whoever_waits_for_a_simulated_task_sees_it_go_on_and_locks_nothing(sql: Sql, photo: bytes) -> None:
    headers, request_uuid = made(photo)
    api.simulate(sql, request_uuid, seconds=1000)
    with waiting(sql, headers, request_uuid) as answer:
        time.sleep(0.5)  # long enough for a look
        sql.execute("SET lock_timeout = '1s'")
        sql.execute("UPDATE tasks SET sandbox_due_at = now()")
    assert (answer.result().status, answer.result().json()["status"]) == (200, "SUCCESS")
