"""Pages of tasks, their cursors, and what they cost where there are many tasks."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import pages, tasks
from avatars.owners import Owner
from tests.shared.avatars import made

KEY = b"k" * 32
OWNERS, EACH = 100, 100


def test_a_cursor_gives_back_what_it_was_made_of() -> None:
    for task_id in (1, 255, 2**63 - 1):
        assert pages.unseal(pages.seal(task_id, key=KEY), key=KEY) == task_id


def test_a_cursor_of_another_key_or_changed_in_any_byte_is_refused() -> None:
    sealed = urlsafe_b64decode(pages.seal(41, key=KEY))
    with pytest.raises(pages.CursorInvalid):
        pages.unseal(pages.seal(41, key=b"l" * 32), key=KEY)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(pages.CursorInvalid):
            pages.unseal(urlsafe_b64encode(changed).decode(), key=KEY)


@pytest.mark.parametrize("cursor", ["", "x", "=", "41", "é", "A" * 5000, "%00", pages.seal(41, key=KEY)[:-4]])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(pages.CursorInvalid):
        pages.unseal(cursor, key=KEY)


class Watched:
    """A connection that notes how its queries are carried out."""

    def __init__(self, conn: Connection[DictRow]) -> None:
        self._conn = conn
        self.plans: list[str] = []

    def execute(self, query: Any, given: Any) -> Any:
        plan = self._conn.execute(f"EXPLAIN {query}", given).fetchall()
        self.plans.append("\n".join(line["QUERY PLAN"] for line in plan))
        return self._conn.execute(query, given)


@pytest.fixture
def owner(conn: Connection[DictRow]) -> Owner:
    """One of a hundred users with a hundred tasks each, every second one waiting."""
    user_id = made.user(conn)
    made.task(conn, user_id)
    conn.execute(
        """
        INSERT INTO users (name, email, password_hash) SELECT 'x', n || '@x.org', 'x' FROM generate_series(2, %s) n
        """,
        (OWNERS,),
    )
    conn.execute(
        """
        INSERT INTO tasks (user_id, client_type, photo_id, output_bucket, status, published_at, finished_at)
        SELECT u.id, client_type, photo_id, output_bucket,
               CASE WHEN n %% 2 = 0 THEN 'PENDING' ELSE 'CANCELLED' END, now(), CASE WHEN n %% 2 = 1 THEN now() END
        FROM tasks, generate_series(1, %s) n, users u ORDER BY n, u.id
        """,
        (EACH,),
    )
    conn.execute("ANALYZE tasks")
    return SimpleNamespace(user_id=user_id, api_key_id=None)


def test_a_page_of_one_of_many_owners_reads_by_indexes_in_one_query(conn: Connection[DictRow], owner: Owner) -> None:
    watched: Any = Watched(conn)
    page = pages.read(watched, owner=owner, chosen=pages.Filter(), limit=20, after_id=None)
    assert [row["queue_position"] for row in page.rows] == [
        None if row["finished_at"] else waiting_before(conn, row["id"]) + 1 for row in page.rows
    ]
    (plan,) = watched.plans
    assert "tasks_by_user" in plan
    assert "tasks_queue" in plan
    assert "Seq Scan on tasks" not in plan


def test_one_of_many_tasks_is_read_by_indexes_in_one_query(conn: Connection[DictRow], owner: Owner) -> None:
    newest = conn.execute("SELECT request_uuid, id FROM tasks WHERE user_id = %s ORDER BY id DESC", (owner.user_id,))
    row = newest.fetchone()
    assert row is not None
    watched: Any = Watched(conn)
    task = tasks.whole(watched, owner=owner, request_uuid=str(row["request_uuid"]))
    assert task["queue_position"] == waiting_before(conn, row["id"]) + 1
    (plan,) = watched.plans
    assert "tasks_request_uuid_key" in plan
    assert "tasks_queue" in plan
    assert "Seq Scan on tasks" not in plan


def waiting_before(conn: Connection[DictRow], task_id: int) -> int:
    row = conn.execute(
        "SELECT count(*) FROM tasks WHERE status IN ('INITIAL', 'PENDING') AND id < %s", (task_id,)
    ).fetchone()
    assert row is not None
    return int(row["count"])
