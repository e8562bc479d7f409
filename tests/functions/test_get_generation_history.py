"""What a user has made."""

import re
from typing import Any

import httpx
import psycopg

from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]

OLD_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{6}\+00:00")


def test_the_history_is_the_open_and_successful_tasks_oldest_first(photo: bytes, model: bytes) -> None:
    person = api.person()
    made = [api.create(person.headers, photo).json()["request_uuid"] for _ in range(5)]
    refused, finished, failed, running, waiting = made
    api.consume(
        {"request_uuid": refused, "status": "INVALID_INPUT"},
        {"request_uuid": failed, "status": "FAILED"},
        {"request_uuid": running, "status": "IN_PROGRESS"},
    )
    api.finish(finished, model)
    items = api.history(person.headers)
    assert [item["task_request_uuid"] for item in items] == [finished, running, waiting]
    assert [item["task_id"] for item in items] == sorted(item["task_id"] for item in items)
    for item in items:
        assert set(item) == {"task_id", "task_request_uuid", "input_image_url", "datetime_created"}
        assert type(item["task_id"]) is int
        assert OLD_TIME.fullmatch(item["datetime_created"])
        assert httpx.get(item["input_image_url"], trust_env=False).status_code == 200


def test_a_whole_second_is_written_with_its_six_zeros(sql: Sql, photo: bytes) -> None:
    person = api.person()
    api.create(person.headers, photo)
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET created_at = '2026-11-22 20:54:08+02:00'")
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
    assert api.history(person.headers)[0]["datetime_created"] == "2026-11-22 18:54:08.000000+00:00"
