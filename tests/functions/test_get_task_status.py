"""How far a task is."""

from typing import Any

import psycopg
import pytest

from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.mark.parametrize("no_uuid", ["1", "not-a-uuid", "x" * 300, "' OR 1=1 --"])
def test_a_path_that_is_no_uuid_is_the_same_404(no_uuid: str) -> None:
    headers = api.person().headers
    for name in ("status", "result"):
        answer = api.read(name, headers, no_uuid.replace(" ", "%20"))
        assert answer.status == 404
        assert no_uuid in answer.detail


def test_a_cancelled_task_counts_as_failed_and_is_not_in_the_history(sql: Sql, photo: bytes) -> None:
    person = api.person()
    request_uuid = api.create(person.headers, photo).json()["request_uuid"]
    sql.execute("UPDATE tasks SET status = 'CANCELLED', finished_at = now(), revision = revision + 1")
    assert api.status(person.headers, request_uuid) == "FAILED"
    assert api.history(person.headers) == []


def test_an_open_task_says_when_to_ask_again_and_a_finished_one_does_not(photo: bytes, model: bytes) -> None:
    headers = api.person().headers
    request_uuid = api.create(headers, photo).json()["request_uuid"]
    answer = api.read("status", headers, request_uuid)
    assert (answer.headers["retry-after"], answer.json()) == ("2", {"status": "PENDING"})
    api.finish(request_uuid, model)
    assert "retry-after" not in api.read("status", headers, request_uuid).headers
