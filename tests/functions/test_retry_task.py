"""Trying a task again: a new one of the same photo."""

import uuid
from typing import Any

import psycopg
import pytest

from avatars import submissions
from facet.settings import settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]


def failed(headers: dict[str, str], photo: bytes, *, integrations: bool = False, **metadata: object) -> str:
    """A task that an agent refused."""
    created = api.create(headers, photo, integrations=integrations, metadata=metadata).json()
    api.consume({"request_uuid": created["request_uuid"], "status": "INVALID_INPUT", "error": {"code": "NO_FACE"}})
    return str(created["request_uuid"])


def test_it_is_a_new_task_of_the_same_photo_with_the_same_words(photo: bytes, queue: Queue) -> None:
    headers = api.person().headers
    old = failed(headers, photo, order="A-1042")
    queue.take("generation_tasks")
    answer = api.retry(headers, old)
    assert answer.status == 201
    task = answer.json()
    assert answer.headers["location"] == f"/api/v1/3d-model-generation/tasks/{task['request_uuid']}"
    told = (task["status"], task["retry_of"], task["metadata"], task["options"], task["attempt"], task["failure"])
    assert told == ("PENDING", old, {"order": "A-1042"}, {}, 1, None)
    before = api.task(headers, old)
    assert before["status"] == "INVALID_INPUT"
    assert task["files"][0]["sha256"] == before["files"][0]["sha256"]
    assert [properties.correlation_id for _, properties in queue.take("generation_tasks")] == [task["request_uuid"]]


def test_a_key_tries_again_what_it_made(photo: bytes) -> None:
    key = api.new_key()
    old = failed(key, photo, integrations=True)
    answer = api.retry(key, old, integrations=True)
    assert (answer.status, answer.json()["retry_of"]) == (201, old)
    assert answer.headers["location"].startswith("/api/v1/integrations/3d-model-generation/tasks/")


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_what_failed_or_was_cancelled_is_tried_again(photo: bytes, status: str) -> None:
    headers = api.person().headers
    old = api.create(headers, photo).json()["request_uuid"]
    if status == "FAILED":
        api.consume({"request_uuid": old, "status": "FAILED", "error": {"code": "AGENT_ERROR"}})
    else:
        api.of_task("cancel_task", "POST", headers, old, "/cancel")
    assert api.task(headers, old)["status"] == status
    assert api.retry(headers, old).status == 201


def test_what_is_open_or_has_its_avatar_is_not(photo: bytes, model: bytes) -> None:
    headers = api.person().headers
    task = api.create(headers, photo).json()["request_uuid"]
    pending = api.retry(headers, task)
    api.finish(task, model)
    done = api.retry(headers, task)
    assert [(answer.status, answer.json()["code"]) for answer in (pending, done)] == [(409, "TASK_NOT_RETRYABLE")] * 2
    assert ("PENDING" in pending.detail, "SUCCESS" in done.detail) == (True, True)


def test_anothers_an_unknown_and_a_garbled_task_are_the_same_404(photo: bytes) -> None:
    theirs = failed(api.person().headers, photo)
    eve = api.person("eve@example.org").headers
    for request_uuid in (theirs, str(uuid.uuid4()), "garbage"):
        answer = api.retry(eve, request_uuid)
        assert (answer.status, answer.json()["code"]) == (404, "TASK_NOT_FOUND")


def test_sent_again_with_its_key_it_makes_nothing(photo: bytes, sql: Sql, queue: Queue) -> None:
    headers = {**api.person().headers, "idempotency-key": "k1"}
    old = failed(headers, photo)
    queue.take("generation_tasks")
    first, second = api.retry(headers, old), api.retry(headers, old.upper())
    assert (first.status, second.status, second.body) == (201, 201, first.body)
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (2,)
    assert len(queue.take("generation_tasks")) == 1


def test_the_key_of_one_retry_does_not_fit_another(photo: bytes) -> None:
    headers = api.person().headers
    first, second = (failed(headers, photo) for _ in range(2))
    keyed = {**headers, "idempotency-key": "k1"}
    assert api.retry(keyed, first).status == 201
    answer = api.retry(keyed, second)
    assert (answer.status, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_retries_are_limited_like_creates(photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = api.person().headers
    old = failed(headers, photo)
    monkeypatch.setenv("LIMIT_TASKS_IN_FLIGHT", "1")
    monkeypatch.setenv("LIMIT_CREATES_PER_OWNER", "3/60")
    settings.cache_clear()
    assert api.retry(headers, old).status == 201
    full = api.retry({**headers, "idempotency-key": "k1"}, old)
    assert (full.status, full.json()["code"]) == (429, "TOO_MANY_TASKS_IN_FLIGHT")
    monkeypatch.setenv("LIMIT_TASKS_IN_FLIGHT", "0")
    settings.cache_clear()
    last = api.retry({**headers, "idempotency-key": "k1"}, old)
    assert (last.status, last.headers["ratelimit"].partition(";t=")[0]) == (201, '"create";r=0')
    often = api.retry(headers, old)
    assert (often.status, often.json()["code"]) == (429, "RATE_LIMITED")


def test_when_the_old_task_is_deleted_the_new_one_keeps_the_photo(photo: bytes) -> None:
    headers = api.person().headers
    old = failed(headers, photo)
    new = api.retry(headers, old).json()
    assert api.of_task("delete_task", "DELETE", headers, old).status == 204
    assert api.task(headers, new["request_uuid"])["files"] == new["files"]
    api.consume({"request_uuid": new["request_uuid"], "status": "FAILED", "error": {"code": "AGENT_ERROR"}})
    assert api.retry(headers, new["request_uuid"]).status == 201


def test_a_task_deleted_in_the_middle_of_its_retry_is_a_404(
    photo: bytes, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = api.person().headers
    old, store = failed(headers, photo), submissions.store

    def delete_meanwhile(*args: Any, **more: Any) -> None:
        assert api.of_task("delete_task", "DELETE", headers, old).status == 204
        store(*args, **more)

    monkeypatch.setattr(submissions, "store", delete_meanwhile)
    answer = api.retry(headers, old)
    assert (answer.status, answer.json()["code"]) == (404, "TASK_NOT_FOUND")
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
