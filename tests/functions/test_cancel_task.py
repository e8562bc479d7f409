"""Cancelling a task."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from facet import broker
from facet.settings import settings
from tests.conftest import Settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]


def cancel(headers: dict[str, str], request_uuid: str, *, integrations: bool = False) -> api.Answer:
    return api.of_task("cancel_task", "POST", headers, request_uuid, "/cancel", integrations=integrations)


def made(photo: bytes) -> tuple[dict[str, str], str]:
    headers = api.person().headers
    return headers, api.create(headers, photo).json()["request_uuid"]


@pytest.mark.parametrize("begun", [False, True])
def test_an_open_task_is_cancelled_for_good(photo: bytes, model: bytes, begun: bool) -> None:
    headers, request_uuid = made(photo)
    if begun:
        api.consume({"request_uuid": request_uuid, "status": "IN_PROGRESS", "progress": 30})
    before = api.task(headers, request_uuid)
    answer = cancel(headers, request_uuid)
    assert answer.status == 200
    task = answer.json()
    assert (task["status"], task["failure"], task["queue_position"]) == ("CANCELLED", None, None)
    assert task["finished_at"] is not None
    assert (task["revision"], task["progress"]) == (before["revision"] + 1, before["progress"])
    assert api.task(headers, request_uuid) == task
    assert api.status(headers, request_uuid) == "FAILED"
    api.finish(request_uuid, model)
    assert api.task(headers, request_uuid) == task


def test_cancelling_twice_is_answered_like_once(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    first, second = cancel(headers, request_uuid), cancel(headers, request_uuid)
    assert (first.status, second.status) == (200, 200)
    assert first.json() == second.json()


def test_a_task_that_has_ended_otherwise_cannot_be_cancelled(photo: bytes, model: bytes) -> None:
    headers, request_uuid = made(photo)
    api.finish(request_uuid, model)
    answer = cancel(headers, request_uuid)
    assert (answer.status, answer.json()["code"]) == (409, "TASK_FINISHED")
    assert "SUCCESS" in answer.detail
    assert api.status(headers, request_uuid) == "SUCCESS"


def test_what_was_not_announced_yet_never_is(monkeypatch: pytest.MonkeyPatch, photo: bytes, queue: Queue) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", lambda **message: (_ for _ in ()).throw(broker.Unavailable()))
        headers, request_uuid = made(photo)
    assert cancel(headers, request_uuid).json()["status"] == "CANCELLED"
    api.relay()
    assert queue.take(settings().rabbitmq_tasks_queue) == []


def test_the_model_its_agent_may_still_write_is_expected(sql: Sql, clean: Settings, photo: bytes) -> None:
    headers, request_uuid = made(photo)
    cancel(headers, request_uuid)
    rows = sql.execute(
        "SELECT due_at - now() FROM object_deletions WHERE bucket = %s AND object_key = %s",
        (clean["MINIO_3D_FILES_BUCKET"], f"{request_uuid}.glb"),
    ).fetchall()
    assert len(rows) == 1
    assert timedelta(hours=24, minutes=59) < rows[0][0] <= timedelta(hours=25)


def test_a_simulated_task_that_is_due_has_ended_and_another_is_cancelled(sql: Sql, photo: bytes) -> None:
    headers, due = made(photo)
    other = api.create(headers, photo).json()["request_uuid"]
    api.simulate(sql, due, seconds=-1)
    api.simulate(sql, other, seconds=100)
    assert cancel(headers, due).status == 409
    assert cancel(headers, other).json()["status"] == "CANCELLED"


def test_a_key_cancels_what_it_may_see(photo: bytes) -> None:
    key = api.new_key()
    request_uuid = api.create(key, photo, integrations=True).json()["request_uuid"]
    answer = cancel(key, request_uuid, integrations=True)
    assert answer.json()["files"][0]["link"].startswith("/api/v1/integrations/")
    assert cancel(api.new_key(), request_uuid, integrations=True).status == 404


@pytest.mark.parametrize("no_uuid", ["1", "not-a-uuid"])
def test_an_unknown_task_cannot_be_cancelled(no_uuid: str) -> None:
    answer = cancel(api.person().headers, no_uuid)
    assert (answer.status, answer.json()["code"]) == (404, "TASK_NOT_FOUND")
