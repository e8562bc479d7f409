"""Creating a task with an idempotency key: once, whatever is sent how often."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg
import pytest

from avatars import media, tasks
from facet import db, objects
from facet.settings import settings
from tests.conftest import Settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]

KEY = {"idempotency-key": "order-1042"}
TASKS = "SELECT count(*) FROM tasks"
NOTED = "SELECT count(*) FROM object_deletions"


def number(sql: Sql, query: Any) -> int:
    [(count,)] = sql.execute(query).fetchall()
    return int(count)


@pytest.fixture
def ada() -> dict[str, str]:
    return {**api.person().headers, **KEY}


def test_the_same_request_again_gets_the_same_answer_and_makes_nothing(
    sql: Sql, queue: Queue, ada: dict[str, str], photo: bytes
) -> None:
    first, second = api.create(ada, photo, metadata={"a": 1, "b": 2}), api.create(ada, photo, metadata='{"b":2, "a":1}')
    assert (first.status, second.status) == (201, 201)
    assert second.body == first.body
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert second.headers["location"] == first.headers["location"]
    assert number(sql, TASKS) == 1
    assert len(queue.take("generation_tasks")) == 1


def test_a_database_lost_meanwhile_does_not_hide_why_a_create_was_refused(
    ada: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*given: object) -> None:
        raise db.Unavailable("lost")

    monkeypatch.setattr("avatars.idempotency.abandon", lost)
    assert api.create(ada, b"GIF89a no photo").status == 415


def test_without_a_key_every_request_makes_a_task(sql: Sql, photo: bytes) -> None:
    headers = api.person().headers
    assert api.create(headers, photo).body != api.create(headers, photo).body
    assert number(sql, TASKS) == 2


def test_a_later_answer_has_a_url_that_is_good_again(sql: Sql, ada: dict[str, str], photo: bytes) -> None:
    first = api.create(ada, photo)
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET created_at = created_at - %s", (2 * media.SIGNING_SLOT + timedelta(minutes=1),))
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
    later = [api.create(ada, photo).json() for _ in range(2)]
    assert later[0] == later[1]
    assert later[0]["request_uuid"] == first.json()["request_uuid"]
    assert later[0]["source_file_path"] != first.json()["source_file_path"]


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json"])
def test_another_request_with_the_key_is_a_422(sql: Sql, ada: dict[str, str], photo: bytes, accept: str) -> None:
    api.create(ada, photo)
    headers = {**ada, "accept": accept}
    refused = [api.create(headers, photo + b"\0"), api.create(headers, photo, metadata={"a": 1})]
    refused.append(api.create_of_upload(headers, {"upload_id": "5f0e6c1e-8d0b-4a54-9c0e-6d2f6a3f8b11"}))
    assert [answer.status for answer in refused] == [422, 422, 422]
    assert all("Idempotency-Key" in answer.detail for answer in refused)
    assert number(sql, TASKS) == 1


def test_while_the_first_is_under_way_the_answer_is_a_409_that_says_when_to_ask_again(
    sql: Sql, ada: dict[str, str], photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, meanwhile = objects.put, []

    def slow(*args: Any, **more: Any) -> None:
        monkeypatch.setattr(objects, "put", put)
        meanwhile.append(api.create({**ada, "accept": "application/problem+json"}, photo))
        put(*args, **more)

    monkeypatch.setattr(objects, "put", slow)
    assert api.create(ada, photo).status == 201
    [refused] = meanwhile
    assert (refused.status, refused.json()["code"]) == (409, "IDEMPOTENCY_KEY_IN_FLIGHT")
    assert (refused.headers["retry-after"], refused.json()["retryable"]) == ("1", True)
    assert number(sql, TASKS) == 1


def test_after_a_refusal_the_key_may_be_used_for_a_better_request(ada: dict[str, str], photo: bytes) -> None:
    assert api.create(ada, b"no photo").status == 415
    assert api.create(ada, photo).status == 201


def test_after_an_outage_of_the_storage_the_same_request_is_done(
    ada: dict[str, str], photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise objects.Unavailable

    with monkeypatch.context() as outage:
        outage.setattr(objects, "put", away)
        assert api.create(ada, photo).status == 503
    answer = api.create(ada, photo)
    assert (answer.status, "idempotent-replayed" in answer.headers) == (201, False)


def test_repeats_are_not_counted_as_creates(ada: dict[str, str], photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT_CREATES_PER_OWNER", "2/60")
    settings.cache_clear()
    first = api.create(ada, photo)
    assert first.headers["ratelimit"].startswith('"create";r=1;')
    assert [api.create(ada, photo).status for _ in range(3)] == [201] * 3
    assert [api.create({**ada, "idempotency-key": key}, photo).status for key in ("2", "3", "3")] == [201, 429, 429]
    assert api.create(ada, photo).body == first.body


def test_keys_of_two_owners_do_not_meet(sql: Sql, photo: bytes) -> None:
    for headers in (api.person().headers, api.person("eve@example.org").headers):
        assert "idempotent-replayed" not in api.create({**headers, **KEY}, photo).headers
    assert "idempotent-replayed" not in api.create({**api.new_key(), **KEY}, photo, integrations=True).headers
    assert number(sql, TASKS) == 3


def test_the_answer_of_a_task_that_was_deleted_is_a_404(sql: Sql, ada: dict[str, str], photo: bytes) -> None:
    api.create(ada, photo)
    sql.execute("DELETE FROM tasks")
    assert api.create(ada, photo).status == 404


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_cannot_be_kept_is_a_422_that_names_it(photo: bytes, key: str) -> None:
    answer = api.create({**api.person().headers, "idempotency-key": key}, photo)
    assert answer.status == 422
    assert [error["loc"] for error in answer.detail] == [["header", "idempotency-key"]]


def test_a_crash_after_the_photo_was_put_leaves_no_task_and_notes_the_photo_for_deletion(
    clean: Settings, sql: Sql, ada: dict[str, str], photo: bytes
) -> None:
    before = set(objects.list_keys(clean["MINIO_IMAGES_BUCKET"]))
    child = multiprocessing.get_context("spawn").Process(target=die_after_the_photo, args=(ada, photo))
    child.start()
    child.join(60)
    assert child.exitcode == 7
    [left] = set(objects.list_keys(clean["MINIO_IMAGES_BUCKET"])) - before
    assert number(sql, TASKS) == 0
    assert sql.execute("SELECT object_key FROM object_deletions WHERE due_at <= now()").fetchall() == []
    assert sql.execute("SELECT bucket, object_key FROM object_deletions").fetchall() == [
        (clean["MINIO_IMAGES_BUCKET"], left)
    ]
    assert api.create(ada, photo).status == 409
    sql.execute("UPDATE idempotency_keys SET locked_until = now()")
    assert api.create(ada, photo).status == 201
    sql.execute("UPDATE object_deletions SET due_at = now()")
    api.on_schedule("purge_expired")
    [(kept,)] = sql.execute("SELECT object_key FROM media_objects").fetchall()
    assert set(objects.list_keys(clean["MINIO_IMAGES_BUCKET"])) - before == {kept}
    assert number(sql, NOTED) == 0


def die_after_the_photo(headers: dict[str, str], photo: bytes) -> None:
    """In a process of its own, of which no code runs after the photo was put."""

    def dead(*_: object, **__: object) -> None:
        os._exit(7)

    api.begin_process()
    pytest.MonkeyPatch().setattr(tasks, "create", dead)
    api.create(headers, photo)


_together: list[Barrier] = []


def meet_at(barrier: Barrier) -> None:
    api.begin_process()
    _together.append(barrier)


def one_of_many(headers: dict[str, str], photo: bytes) -> tuple[int, bytes]:
    assert api.history(headers) == []
    _together[0].wait(60)
    answer = api.create(headers, photo)
    while answer.status == 409:
        time.sleep(int(answer.headers["retry-after"]))
        answer = api.create(headers, photo)
    return answer.status, answer.body


def test_of_eight_processes_with_one_key_all_get_the_one_task(sql: Sql, queue: Queue, photo: bytes) -> None:
    headers = {**api.person().headers, **KEY}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(8, spawn, initializer=meet_at, initargs=(spawn.Barrier(8),)) as pool:
        answers = set(pool.map(one_of_many, [headers] * 8, [photo] * 8))
    assert [status for status, _ in answers] == [201]
    assert number(sql, TASKS) == 1
    assert len(queue.take("generation_tasks")) == 1
