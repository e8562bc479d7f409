"""Test mode: whatever end is asked for, and no agent is ever asked."""

import hashlib
from typing import Any

import httpx
import psycopg
import pytest

from avatars import octahedron
from facet import objects
from tests.conftest import Settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def key() -> dict[str, str]:
    return api.new_key(test_mode=True)


def create(key: dict[str, str], photo: bytes, sandbox: str | None = None) -> Any:
    """The whole task that comes of it."""
    metadata = {} if sandbox is None else {"sandbox": sandbox}
    answer = api.create(key, photo, integrations=True, metadata=metadata)
    assert answer.status == 201, answer.body
    return api.task(key, answer.json()["request_uuid"], integrations=True)


def let_pass(sql: Sql, seconds: int) -> None:
    """As if every task in test mode had been made so long ago."""
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute(
        "UPDATE tasks SET created_at = created_at - make_interval(secs => %(s)s),"
        " sandbox_due_at = sandbox_due_at - make_interval(secs => %(s)s)",
        {"s": seconds},
    )
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")


def nothing_was_sent(sql: Sql, queue: Queue) -> bool:
    api.relay()
    api.on_schedule("reap_tasks")
    return sql.execute("SELECT count(*) FROM outbox").fetchone() == (0,) and queue.take("generation_tasks") == []


@pytest.mark.parametrize("sandbox", [None, "success"])
def test_a_task_succeeds_at_once_with_the_model_that_is_documented(
    key: dict[str, str], photo: bytes, sql: Sql, queue: Queue, sandbox: str | None
) -> None:
    task = create(key, photo, sandbox)
    assert (task["status"], task["progress"], task["test_mode"]) == ("SUCCESS", 100, True)
    _, model = task["files"]
    assert (model["name"], model["sha256"], model["bytes"]) == (
        "model.glb", octahedron.SHA256, len(octahedron.glb()),
    )  # fmt: skip
    stored = httpx.get(model["url"], trust_env=False).raise_for_status().content
    assert hashlib.sha256(stored).hexdigest() == octahedron.SHA256
    assert task["mesh_metadata"] == {"skin_color_hex": "#c68642", "vertices": 24, "triangles": 8}
    result = api.read("result", key, task["request_uuid"], integrations=True).json()
    assert result["mesh_metadata"] == {"skin_color_hex": "#c68642"}
    assert nothing_was_sent(sql, queue)


@pytest.mark.parametrize(
    ("sandbox", "status", "code"),
    [("invalid_input:NO_FACE", "INVALID_INPUT", "NO_FACE"), ("failed:AGENT_ERROR", "FAILED", "AGENT_ERROR")],
)
def test_a_task_ends_badly_at_once_as_asked_for(
    key: dict[str, str], photo: bytes, sql: Sql, queue: Queue, sandbox: str, status: str, code: str
) -> None:
    task = create(key, photo, sandbox)
    assert (task["status"], task["failure"]["code"]) == (status, code)
    assert nothing_was_sent(sql, queue)


def test_a_stuck_task_waits_until_it_is_cancelled(key: dict[str, str], photo: bytes, sql: Sql, queue: Queue) -> None:
    task = create(key, photo, "stuck")
    let_pass(sql, 60 * 60)
    assert nothing_was_sent(sql, queue)
    assert api.task(key, task["request_uuid"], integrations=True)["status"] == "PENDING"
    cancelled = api.of_task("cancel_task", "POST", key, task["request_uuid"], "/cancel", integrations=True)
    assert cancelled.json()["status"] == "CANCELLED"


def test_a_stuck_task_ends_at_its_deadline(key: dict[str, str], photo: bytes, sql: Sql) -> None:
    task = create(key, photo, "stuck")
    let_pass(sql, 73 * 60 * 60)
    api.on_schedule("reap_tasks")
    overdue = api.task(key, task["request_uuid"], integrations=True)
    assert (overdue["status"], overdue["failure"]["code"]) == ("FAILED", "DEADLINE_EXCEEDED")


def test_a_slow_task_goes_on_by_the_clock_and_then_succeeds(
    key: dict[str, str], photo: bytes, sql: Sql, queue: Queue
) -> None:
    task = create(key, photo, "slow:1000")
    seen = [task]
    for _ in range(2):
        let_pass(sql, 400)
        seen.append(api.task(key, task["request_uuid"], integrations=True))
    let_pass(sql, 400)
    seen.append(api.task(key, task["request_uuid"], integrations=True))
    assert [state["status"] for state in seen] == ["IN_PROGRESS"] * 3 + ["SUCCESS"]
    assert seen[0]["progress"] < 5
    assert 35 <= seen[1]["progress"] < 45
    assert 75 <= seen[2]["progress"] < 85
    assert seen[3]["files"][1]["sha256"] == octahedron.SHA256
    revisions = [state["revision"] for state in seen]
    assert revisions == sorted(set(revisions))
    assert nothing_was_sent(sql, queue)


def test_a_slow_task_that_nobody_reads_succeeds_all_the_same(key: dict[str, str], photo: bytes, sql: Sql) -> None:
    create(key, photo, "slow:60")
    let_pass(sql, 61)
    api.on_schedule("reap_tasks")
    assert sql.execute("SELECT status FROM tasks").fetchall() == [("SUCCESS",)]


def test_the_old_routes_see_a_slow_task_end_too(key: dict[str, str], photo: bytes, sql: Sql) -> None:
    request_uuid = create(key, photo, "slow:60")["request_uuid"]
    let_pass(sql, 61)
    assert api.read("status", key, request_uuid, integrations=True).json() == {"status": "SUCCESS"}
    assert api.read("result", key, request_uuid, integrations=True).status == 200


def test_a_slow_task_that_was_cancelled_stays_so_and_its_model_goes(
    clean: Settings, key: dict[str, str], photo: bytes, sql: Sql
) -> None:
    request_uuid = create(key, photo, "slow:60")["request_uuid"]
    api.of_task("cancel_task", "POST", key, request_uuid, "/cancel", integrations=True)
    let_pass(sql, 61)
    assert api.task(key, request_uuid, integrations=True)["status"] == "CANCELLED"
    bucket, name = clean["MINIO_3D_FILES_BUCKET"], f"{request_uuid}.glb"
    assert name in objects.list_keys(bucket)
    sql.execute("UPDATE object_deletions SET due_at = now()")
    api.on_schedule("purge_expired")
    assert name not in objects.list_keys(bucket)


@pytest.mark.parametrize(
    "sandbox",
    ["", "succeed", "success ", "failed", "failed:", "failed:no", "failed:" + "X" * 65, "slow", "slow:0", "slow:3601",
     "slow:1.5", "slow:-1", "slow:1e3", "slow:٣", "SUCCESS", 1, None, True],
)  # fmt: skip
def test_an_end_that_is_not_known_is_a_422_that_names_it_and_makes_nothing(
    key: dict[str, str], photo: bytes, sql: Sql, sandbox: object
) -> None:
    answer = api.create(key, photo, integrations=True, metadata={"sandbox": sandbox})
    assert answer.status == 422
    assert [fault["loc"] for fault in answer.detail] == [["body", "metadata", "sandbox"]]
    headers = {**key, "accept": "application/problem+json"}
    problem = api.create(headers, photo, integrations=True, metadata={"sandbox": sandbox}).json()
    assert problem["code"] == "SANDBOX_OUTCOME_UNKNOWN"
    assert sql.execute("SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM media_objects)").fetchone() == (0, 0)


def test_a_user_in_test_mode_makes_no_real_task_in_any_way(photo: bytes, sql: Sql, queue: Queue) -> None:
    person = api.person()
    api.invoke("set_test_mode", {"email": person.email, "on": True})
    key = api.new_key(user_email=person.email)
    mine = api.create(person.headers, photo, metadata={"sandbox": "failed:AGENT_ERROR"}).json()["request_uuid"]
    theirs = api.create(key, photo, integrations=True).json()["request_uuid"]
    again = api.retry(person.headers, mine).json()
    assert api.task(person.headers, mine)["status"] == "FAILED"
    assert api.task(person.headers, theirs)["status"] == "SUCCESS"
    assert (again["status"], again["test_mode"], again["retry_of"]) == ("FAILED", True, mine)
    assert nothing_was_sent(sql, queue)


def test_a_user_out_of_test_mode_again_makes_real_tasks(photo: bytes, queue: Queue) -> None:
    person = api.person()
    for on in (True, False):
        api.invoke("set_test_mode", {"email": person.email, "on": on})
    request_uuid = api.create(person.headers, photo).json()["request_uuid"]
    assert api.task(person.headers, request_uuid)["test_mode"] is False
    assert len(queue.take("generation_tasks")) == 1


def test_a_repeat_in_test_mode_is_answered_like_the_first(key: dict[str, str], photo: bytes, sql: Sql) -> None:
    headers = {**key, "idempotency-key": "k1"}
    first, second = (api.create(headers, photo, integrations=True) for _ in range(2))
    assert (first.status, second.status, second.body) == (201, 201, first.body)
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (1,)


def test_a_photo_is_checked_in_test_mode_too(key: dict[str, str]) -> None:
    assert api.create(key, b"no photo", integrations=True).status == 415
