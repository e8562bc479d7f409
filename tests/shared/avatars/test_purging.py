"""Several purges at once, and a purge against whoever uses what it is after."""

import uuid
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import purging, tasks
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together

Purge = Callable[..., int]

FILLED = {
    purging.rate_limits: "INSERT INTO rate_limits SELECT 'p', n::text, 1, now() - interval '1 s'"
    " FROM generate_series(1, 50) n",
    purging.erased_tasks: "INSERT INTO erased_tasks SELECT gen_random_uuid(), 'b', now() - interval '8 days'"
    " FROM generate_series(1, 50) n",
    purging.idempotency_keys: "INSERT INTO idempotency_keys (operation, key, fingerprint, created_at, locked_until)"
    " SELECT 'o', n::text, sha256('x'), now() - interval '25 h', now() FROM generate_series(1, 50) n",
    purging.uploads: "INSERT INTO uploads (bucket, object_key, content_type, size, created_at, expires_at, used_at)"
    " SELECT 'b', n::text, 'image/jpeg', 9, now() - interval '2 days', now() - interval '25 h',"
    " CASE n % 2 WHEN 0 THEN now() - interval '26 h' END FROM generate_series(1, 50) n",
}


@pytest.mark.parametrize("purge", FILLED)
def test_purges_at_once_share_the_work(conn: Connection[DictRow], together: Together[int], purge: Purge) -> None:
    conn.execute(FILLED[purge])
    outcomes = together(lambda own: purge(own, limit=20), 4)
    counts = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(counts) == 4
    assert max(counts) <= 20
    while (done := purge(conn, limit=20)) > 0:
        counts.append(done)
    assert sum(counts) == 50


@pytest.mark.parametrize("table", ["idempotency_keys", "uploads", "erased_tasks", "rate_limits"])
def test_a_row_in_use_is_passed_over(
    conn: Connection[DictRow], connect: Callable[[], Connection[DictRow]], table: LiteralString
) -> None:
    purge: Purge = getattr(purging, table)
    conn.execute(FILLED[purge])
    other = connect()
    conn.execute("SET lock_timeout = '3s'")
    with other.transaction():
        other.execute(f"SELECT FROM {table} LIMIT 1 FOR UPDATE")  # from the list above
        assert purge(conn, limit=99) == 49
    assert purge(conn, limit=99) == 1


def ended(conn: Connection[DictRow], count: int) -> list[uuid.UUID]:
    user_id = made.user(conn)
    names = [made.task(conn, user_id)[0].request_uuid for _ in range(count)]
    conn.execute(
        "UPDATE tasks SET status = 'CANCELLED', finished_at = now() - interval '31 days', revision = revision + 1"
    )
    return names


def test_finished_tasks_are_deleted_once_by_several_at_once(conn: Connection[DictRow], together: Together[int]) -> None:
    ended(conn, 30)
    outcomes = together(partial(purging.finished_tasks, days=30, limit=20), 3)
    counts = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert (len(counts), sum(counts)) == (3, 30)
    assert conn.execute("SELECT FROM tasks").rowcount == 0
    assert conn.execute("SELECT FROM media_objects").rowcount == 0
    assert conn.execute("SELECT FROM object_deletions").rowcount == 30


def test_a_row_somebody_has_locked_is_left_to_the_next_time(
    conn: Connection[DictRow], connect: Callable[[], Connection[DictRow]]
) -> None:
    ended(conn, 2)
    other = connect()
    with other.transaction():
        other.execute("SELECT FROM tasks WHERE id = 1 FOR UPDATE")
        assert purging.finished_tasks(conn, days=30, limit=9) == 1
    assert purging.finished_tasks(conn, days=30, limit=9) == 1


def test_the_photo_of_a_task_just_made_from_an_old_one_stays(
    conn: Connection[DictRow], connect: Callable[[], Connection[DictRow]]
) -> None:
    """Whichever of the two comes first, no task is left without its photo."""
    [name] = ended(conn, 1)
    [old] = conn.execute("SELECT photo_id, user_id FROM tasks WHERE request_uuid = %s", (name,)).fetchall()
    owner = SimpleNamespace(user_id=old["user_id"], api_key_id=None)
    tasks.create(conn, owner=owner, photo_id=old["photo_id"], output_bucket=made.MODELS, traceparent=None)
    assert purging.finished_tasks(conn, days=30, limit=9) == 1
    assert conn.execute("SELECT id FROM media_objects").fetchall() == [{"id": old["photo_id"]}]
