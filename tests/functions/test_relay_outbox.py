"""The relay: sends what is left, once, and lets nothing stand in the way."""

from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from facet import broker, objects
from facet.settings import settings
from functions.relay_outbox import handler
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def unsent(sql: Sql, photo: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three tasks that were accepted while the broker was down."""

    def away(**_: object) -> None:
        raise broker.Unavailable

    person = api.person()
    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", away)
        return [api.create(person.headers, photo).json()["request_uuid"] for _ in range(3)]


def states(sql: Sql) -> list[tuple[Any, ...]]:
    return sql.execute(
        """
        SELECT t.status, o.published_at IS NOT NULL, o.failures
        FROM outbox o JOIN tasks t ON t.id = o.task_id ORDER BY t.id
        """
    ).fetchall()


def sent(queue: Queue) -> list[str]:
    return [properties.correlation_id for _, properties in queue.take("generation_tasks")]


def test_what_is_left_is_sent_once_and_in_order(unsent: list[str], sql: Sql, queue: Queue) -> None:
    assert states(sql) == [("INITIAL", False, 0)] * 3
    api.relay()
    api.relay()
    assert sent(queue) == unsent
    assert states(sql) == [("PENDING", True, 0)] * 3


def test_a_broker_that_is_down_ends_the_sweep_early_and_is_noted(
    unsent: list[str], sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def away(**message: object) -> None:
        tried.append(message)
        raise broker.Unavailable("no broker")

    monkeypatch.setattr(broker, "publish", away)
    api.relay()
    assert len(tried) == 1
    assert states(sql) == [("INITIAL", False, 1), ("INITIAL", False, 0), ("INITIAL", False, 0)]
    assert sql.execute("SELECT last_error FROM outbox WHERE failures > 0").fetchall() == [("no broker",)]


def test_one_message_that_fails_does_not_hold_up_the_others(
    unsent: list[str], sql: Sql, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = broker.publish

    def refuse_the_first(**message: Any) -> None:
        if message["correlation_id"] == unsent[0]:
            raise ValueError("this one cannot be sent")
        publish(**message)

    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", refuse_the_first)
        api.relay()
        api.relay()
    assert sent(queue) == unsent[1:]
    assert states(sql) == [("INITIAL", False, 2), ("PENDING", True, 0), ("PENDING", True, 0)]
    api.relay()
    assert sent(queue) == unsent[:1]


def test_a_crash_between_confirm_and_commit_sends_it_again_under_the_same_id(
    unsent: list[str], sql: Sql, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("avatars.states.mark_published", die)
        with pytest.raises(Killed):
            api.relay()
    [(_, first)] = queue.take("generation_tasks")
    assert states(sql) == [("INITIAL", False, 0)] * 3
    api.relay()
    again = [properties for _, properties in queue.take("generation_tasks")]
    assert [properties.message_id for properties in again].count(first.message_id) == 1
    assert len(again) == 3


def test_an_entry_that_another_sends_just_now_is_left_alone(unsent: list[str], sql: Sql, queue: Queue) -> None:
    with sql.transaction():
        [(entry,)] = sql.execute(
            "SELECT o.id FROM outbox o JOIN tasks t ON t.id = o.task_id WHERE t.request_uuid = %s FOR UPDATE OF o",
            (unsent[0],),
        ).fetchall()
        assert entry
        api.relay()
    assert sent(queue) == unsent[1:]


def test_urls_are_as_fresh_as_the_message(unsent: list[str], queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = []

    def presign_get(bucket: str, key: str, **options: object) -> str:
        signed.append((bucket, options))
        return f"https://signed.example/{bucket}/{key}"

    monkeypatch.setattr(objects, "presign_get", presign_get)
    api.relay()
    assert signed == [(settings().minio_images_bucket, {"expires_in": 86400, "audience": "agent"})] * 3


def test_a_sweep_is_bounded_in_time(unsent: list[str], sql: Sql, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=iter([0.0, 1.0, handler.SWEEP_SECONDS + 1.0]).__next__)
    with monkeypatch.context() as patch:
        patch.setattr(handler, "time", clock)
        api.relay()
    assert sent(queue) == unsent[:1]


def test_nothing_to_send_is_fine(queue: Queue) -> None:
    api.relay()
    assert sent(queue) == []


def test_a_task_that_has_ended_is_not_announced(unsent: list[str], sql: Sql, queue: Queue) -> None:
    sql.execute(
        "UPDATE tasks SET status = 'CANCELLED', finished_at = now(), revision = revision + 1 WHERE request_uuid = %s",
        (unsent[1],),
    )
    api.relay()
    assert sent(queue) == [unsent[0], unsent[2]]
    assert states(sql) == [("PENDING", True, 0)] * 2


def test_of_two_attempts_that_wait_only_the_later_is_announced(unsent: list[str], sql: Sql, queue: Queue) -> None:
    for request_uuid in unsent:
        api.invoke("requeue_task", {"request_uuid": request_uuid})
    api.relay()
    assert [properties.headers["x-attempt"] for _, properties in queue.take("generation_tasks")] == [2, 2, 2]
    assert states(sql) == [("PENDING", True, 0)] * 3


def test_a_task_that_somebody_holds_is_announced_the_next_time(unsent: list[str], sql: Sql, queue: Queue) -> None:
    with sql.transaction():
        sql.execute("SELECT FROM tasks WHERE request_uuid = %s FOR UPDATE", (unsent[0],))
        api.relay()
    assert sent(queue) == unsent[1:]
    api.relay()
    assert sent(queue) == unsent[:1]
