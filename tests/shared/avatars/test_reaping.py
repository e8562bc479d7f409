"""Several reapers at once, and a reaper against reports: each thing happens once."""

from datetime import timedelta

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import reaping, states
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together

SILENCE = timedelta(minutes=15)


def silent_tasks(conn: Connection[DictRow], count: int) -> None:
    user_id = made.user(conn)
    for _ in range(count):
        task, _ = made.task(conn, user_id)
        states.mark_published(conn, task.id)
        locked = states.lock(conn, task.request_uuid)
        assert locked is not None
        states.advance(conn, locked, progress=10, stage=None)
    conn.execute("UPDATE tasks SET last_message_at = now() - interval '1 hour'")


def test_reapers_at_once_give_each_task_away_once(conn: Connection[DictRow], together: Together[int]) -> None:
    silent_tasks(conn, 20)
    outcomes = together(lambda own: reaping.give_lost_again(own, silence=SILENCE, limit=50), 4)
    counts = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert (len(counts), sum(counts)) == (4, 20)
    assert conn.execute("SELECT DISTINCT attempt, lost FROM tasks").fetchall() == [{"attempt": 2, "lost": 1}]
    assert conn.execute("SELECT count(*) AS n FROM outbox WHERE attempt = 2").fetchall() == [{"n": 20}]


def test_reapers_at_once_end_each_task_once(conn: Connection[DictRow], together: Together[int]) -> None:
    silent_tasks(conn, 20)
    conn.execute("UPDATE tasks SET lost = 2")
    outcomes = together(lambda own: reaping.end_lost(own, silence=SILENCE, limit=50), 4)
    assert sum(outcome for outcome in outcomes if isinstance(outcome, int)) == 20
    [row] = conn.execute("SELECT DISTINCT status, failure_code, lost FROM tasks").fetchall()
    assert row == {"status": "FAILED", "failure_code": "AGENT_LOST", "lost": 3}


def test_no_more_than_the_limit_at_a_time_oldest_first(conn: Connection[DictRow]) -> None:
    silent_tasks(conn, 3)
    assert reaping.give_lost_again(conn, silence=SILENCE, limit=2) == 2
    assert conn.execute("SELECT lost FROM tasks ORDER BY id").fetchall() == [{"lost": 1}, {"lost": 1}, {"lost": 0}]


def test_two_operators_at_once_make_two_attempts(conn: Connection[DictRow], together: Together[int]) -> None:
    task, _ = made.task(conn, made.user(conn))
    outcomes = together(lambda own: reaping.requeue(own, task.request_uuid).number, 2)
    assert sorted(map(str, outcomes)) == ["2", "3"]


def test_a_task_an_operator_ends_expects_its_model_late_and_has_not_heard_of_its_agent(
    conn: Connection[DictRow],
) -> None:
    silent_tasks(conn, 1)
    [before] = conn.execute("SELECT request_uuid, last_message_at FROM tasks").fetchall()
    reaping.fail(conn, before["request_uuid"], code="AGENT_ERROR", message=None)
    [after] = conn.execute("SELECT status, last_message_at FROM tasks").fetchall()
    assert after == {"status": "FAILED", "last_message_at": before["last_message_at"]}
    [noted] = conn.execute("SELECT bucket, object_key, due_at - now() > '24 hours' AS late FROM object_deletions")
    assert noted == {"bucket": made.MODELS, "object_key": f"{before['request_uuid']}.glb", "late": True}
