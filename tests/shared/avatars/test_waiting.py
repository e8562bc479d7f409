"""How long a client prefers to wait, and the places there are to wait in."""

import time
from collections.abc import Callable

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import sandbox, waiting
from tests.shared.avatars.test_sandbox import row, slow


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=0", 0),
        ("wait=7", 7),
        ("wait=20", 20),
        ("wait=21", 20),
        ("wait=99999999999999999999999", 20),
        ("wait=007", 7),
        ("Wait = 7", 7),
        ('wait="7"', 7),
        ("wait=7; foo=bar", 7),
        ("respond-async, wait=10", 10),
        ("wait=10,wait=3", 10),
        ("wait=soon, wait=3", 3),
        (None, None),
        ("", None),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=٣", None),
        ('wait="7', None),
        ("waiting=7", None),
        ("wait=7 8", None),
        ("foo; wait=7", None),
    ],
)
def test_a_preference_is_read_as_its_rfc_says(prefer: str | None, seconds: int | None) -> None:
    assert waiting.preferred(prefer) == seconds


def test_a_place_is_held_by_one_until_the_transaction_ends(connect: Callable[[], Connection[DictRow]]) -> None:
    first, second, third = connect(), connect(), connect()
    with first.transaction(), second.transaction(), third.transaction():
        assert waiting.take_place(first, places=2)
        assert waiting.take_place(second, places=2)
        assert not waiting.take_place(third, places=2)
    with third.transaction():
        assert waiting.take_place(third, places=1)


def test_a_place_is_free_again_when_its_holder_dies(connect: Callable[[], Connection[DictRow]]) -> None:
    dead, other = connect(), connect()
    dead.execute("BEGIN")
    assert waiting.take_place(dead, places=1)
    dead.close()
    while not waiting.take_place(other, places=1):
        pass


def test_whoever_waits_for_a_simulated_task_is_told_that_it_goes_on_and_writes_nothing(
    conn: Connection[DictRow],
) -> None:
    task, began = slow(conn, seconds=60), time.monotonic()
    with conn.transaction():
        waiting.until_change(conn, {"id": task.id, "revision": row(conn, task)["revision"]}, seconds=20)
        assert time.monotonic() - began < 10
        assert conn.execute("SELECT pg_current_xact_id_if_assigned() AS id").fetchone() == {"id": None}
    revision = row(conn, task)["revision"]
    sandbox.settle(conn, task.id)
    assert row(conn, task)["revision"] != revision
