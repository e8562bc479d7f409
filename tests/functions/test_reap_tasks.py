"""The reaper: no task waits for ever, none is taken from an agent that is at it, and each thing is done once."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from facet import broker
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]
TASKS_QUEUE = "generation_tasks"

reap = partial(api.on_schedule, "reap_tasks")


@pytest.fixture
def task(photo: bytes, queue: Queue) -> str:
    """A task that an agent has taken off the queue."""
    request_uuid = str(api.create(api.person().headers, photo).json()["request_uuid"])
    assert len(queue.take(TASKS_QUEUE)) == 1
    return request_uuid


def row(sql: Sql) -> DictRow:
    with sql.cursor(row_factory=dict_row) as cursor:
        [found] = cursor.execute("SELECT * FROM tasks").fetchall()
    return found


def begin(task: str, progress: int = 40) -> None:
    api.consume({"request_uuid": task, "status": "IN_PROGRESS", "progress": progress, "stage": "fitting"})


def fall_silent(sql: Sql, **ago: float) -> None:
    sql.execute("UPDATE tasks SET last_message_at = now() - %s", (timedelta(**ago),))


def make_old(sql: Sql, **age: float) -> None:
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET created_at = now() - %s", (timedelta(**age),))
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")


def announced(queue: Queue) -> list[int]:
    """The attempts that reach agents now."""
    api.relay()
    return [properties.headers["x-attempt"] for _, properties in queue.take(TASKS_QUEUE)]


def test_a_task_whose_agent_fell_silent_goes_to_another_with_fresh_urls(task: str, sql: Sql, queue: Queue) -> None:
    begin(task)
    fall_silent(sql, minutes=16)
    before = row(sql)
    reap()
    after = row(sql)
    assert (after["status"], after["attempt"], after["lost"], after["stage"]) == ("INITIAL", 2, 1, None)
    assert (after["progress"], after["revision"]) == (40, before["revision"] + 1)
    api.relay()
    assert row(sql)["status"] == "PENDING"
    [(body, properties)] = queue.take(TASKS_QUEUE)
    assert properties.headers["x-attempt"] == 2
    message = json.loads(body)
    assert message["request_uuid"] == task
    assert "X-Amz-Expires=86400" in message["task_input_metadata"]["input_file_url"]


def test_an_agent_that_spoke_lately_keeps_its_task(task: str, sql: Sql, queue: Queue) -> None:
    begin(task)
    fall_silent(sql, minutes=14)
    before = row(sql)
    reap()
    assert row(sql) == before
    assert announced(queue) == []


def test_the_silence_is_a_setting(task: str, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    from facet.settings import settings

    begin(task)
    fall_silent(sql, minutes=14)
    monkeypatch.setenv("AGENT_SILENCE_MINUTES", "10")
    settings.cache_clear()
    reap()
    assert row(sql)["lost"] == 1


def test_the_third_agent_that_falls_silent_is_the_last(task: str, sql: Sql, queue: Queue) -> None:
    for attempt in (1, 2, 3):
        begin(task)
        assert row(sql)["status"] == "IN_PROGRESS"
        fall_silent(sql, minutes=16)
        reap()
        assert announced(queue) == ([attempt + 1] if attempt < 3 else [])
    ended = row(sql)
    assert (ended["status"], ended["failure_code"], ended["lost"]) == ("FAILED", "AGENT_LOST", 3)
    assert ended["finished_at"] is not None


def test_progress_of_an_earlier_attempt_counts_and_never_goes_down(task: str, sql: Sql) -> None:
    begin(task, 60)
    fall_silent(sql, minutes=16)
    reap()
    begin(task, 70)
    assert (row(sql)["status"], row(sql)["progress"]) == ("IN_PROGRESS", 70)
    begin(task, 5)
    assert (row(sql)["status"], row(sql)["progress"], row(sql)["attempt"]) == ("IN_PROGRESS", 70, 2)


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_result_of_an_earlier_attempt_counts(
    task: str, sql: Sql, queue: Queue, model: bytes, is_announced: bool
) -> None:
    begin(task)
    fall_silent(sql, minutes=16)
    reap()
    if is_announced:
        assert announced(queue) == [2]
    api.finish(task, model)
    assert row(sql)["status"] == "SUCCESS"
    assert announced(queue) == []


def test_silence_means_nothing_while_reports_wait_to_be_read(task: str, sql: Sql, queue: Queue) -> None:
    begin(task)
    fall_silent(sql, minutes=16)
    broker.publish(queue=api.RESULTS_QUEUE, body=b"a report", message_id="1")
    reap()
    assert row(sql)["status"] == "IN_PROGRESS"
    assert len(queue.take(api.RESULTS_QUEUE)) == 1
    reap()
    assert row(sql)["status"] == "INITIAL"


def test_silence_means_nothing_while_the_broker_is_away(task: str, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(queue: str) -> int:
        raise broker.Unavailable

    begin(task)
    fall_silent(sql, minutes=16)
    monkeypatch.setattr(broker, "depth", away)
    reap()
    assert row(sql)["status"] == "IN_PROGRESS"


def test_a_waiting_task_is_announced_again_only_before_its_urls_run_out(task: str, sql: Sql, queue: Queue) -> None:
    sql.execute("UPDATE tasks SET published_at = now() - interval '22 hours 50 minutes'")
    reap()
    assert announced(queue) == []
    sql.execute("UPDATE tasks SET published_at = now() - interval '23 hours 10 minutes'")
    reap()
    reap()
    assert announced(queue) == [2]
    assert (row(sql)["status"], row(sql)["lost"]) == ("PENDING", 0)
    reap()
    assert announced(queue) == []


@pytest.mark.parametrize("began", [True, False])
def test_a_task_open_for_too_long_fails(task: str, sql: Sql, queue: Queue, began: bool) -> None:
    if began:
        begin(task)
    make_old(sql, hours=71)
    reap()
    assert row(sql)["finished_at"] is None
    make_old(sql, hours=73)
    reap()
    ended = row(sql)
    assert (ended["status"], ended["failure_code"]) == ("FAILED", "DEADLINE_EXCEEDED")
    assert ended["failure_message"] == "it was not finished within 72 hours"
    assert announced(queue) == []


def test_a_task_that_could_never_be_announced_fails_in_the_end(
    photo: bytes, sql: Sql, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> None:
        raise broker.Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", away)
        api.create(api.person().headers, photo)
    make_old(sql, hours=73)
    reap()
    assert row(sql)["failure_code"] == "DEADLINE_EXCEEDED"
    assert announced(queue) == []
    assert sql.execute("SELECT count(*) FROM outbox").fetchall() == [(0,)]


def test_a_task_in_test_mode_never_goes_to_agents(task: str, sql: Sql, queue: Queue) -> None:
    api.to_test_mode(sql)
    sql.execute("UPDATE tasks SET published_at = now() - interval '30 hours'")
    reap()
    sql.execute(
        "UPDATE tasks SET status = 'IN_PROGRESS', started_at = now(), revision = revision + 1,"
        " last_message_at = now() - interval '1 hour'"
    )
    reap()
    assert announced(queue) == []
    assert row(sql)["attempt"] == 1


def test_a_stuck_task_in_test_mode_meets_its_deadline(task: str, sql: Sql) -> None:
    api.to_test_mode(sql)
    make_old(sql, hours=73)
    reap()
    assert row(sql)["failure_code"] == "DEADLINE_EXCEEDED"


def test_a_task_that_is_just_reported_on_is_left_to_the_next_time(task: str, sql: Sql) -> None:
    begin(task)
    fall_silent(sql, minutes=16)
    with sql.transaction():
        sql.execute("SELECT FROM tasks FOR UPDATE")
        reap()
    assert row(sql)["lost"] == 0
    reap()
    assert row(sql)["lost"] == 1


def test_more_than_one_batch_is_reaped_at_once(
    photo: bytes, sql: Sql, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facet import turns

    headers = api.person().headers
    for _ in range(5):
        begin(api.create(headers, photo).json()["request_uuid"])
    queue.take(TASKS_QUEUE)
    fall_silent(sql, minutes=16)
    small: Callable[..., turns.Batch] = partial(turns.batch, limit=2)
    monkeypatch.setattr(turns, "batch", small)
    reap()
    assert announced(queue) == [2] * 5


def test_a_task_that_has_ended_is_never_touched(task: str, sql: Sql, model: bytes) -> None:
    api.finish(task, model)
    make_old(sql, hours=100)
    fall_silent(sql, hours=99)
    before = row(sql)
    reap()
    assert row(sql) == before


def test_a_run_as_if_it_were_later_finds_what_is_lost_then(task: str, sql: Sql, queue: Queue) -> None:
    begin(task)
    api.at("reap_tasks", timedelta(minutes=14))
    assert row(sql)["lost"] == 0
    api.at("reap_tasks", timedelta(minutes=16))
    assert (row(sql)["lost"], row(sql)["status"]) == (1, "INITIAL")
    api.at("relay_outbox", timedelta(days=1))
    assert [properties.headers["x-attempt"] for _, properties in queue.take(TASKS_QUEUE)] == [2]
    api.at("reap_tasks", timedelta(hours=71))
    assert row(sql)["finished_at"] is None
    api.at("reap_tasks", timedelta(hours=73))
    assert row(sql)["failure_code"] == "DEADLINE_EXCEEDED"


def test_a_waiting_task_is_announced_anew_before_its_urls_run_out(task: str, sql: Sql) -> None:
    api.at("reap_tasks", timedelta(hours=22))
    assert row(sql)["attempt"] == 1
    api.at("reap_tasks", timedelta(hours=24))
    assert row(sql)["attempt"] == 2
