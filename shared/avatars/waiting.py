"""Waiting for a task to change (RFC 7240, `Prefer: wait`), for as many clients at once as the service can hold."""

import re
import time
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import sandbox
from avatars.documents import NEEDS_SETTLING

LONGEST = 20  # seconds
PAUSE = 0.25  # seconds between two looks
PREFERENCE = re.compile(r'\s*wait\s*=\s*("?)([0-9]+)\1\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)
LOOK: LiteralString = f"SELECT t.revision, {NEEDS_SETTLING} FROM tasks t WHERE t.id = %s"  # noqa: S608  # no input
TAKE_PLACE = "SELECT FROM generate_series(1, %s) place WHERE pg_try_advisory_xact_lock(%s, place) LIMIT 1"
LOCKS = 0x77616974  # "wait": the class of the advisory locks that are the places to wait in


def preferred(prefer: str | None) -> int | None:
    """How many seconds a Prefer header asks to wait, at most LONGEST; None where it does not, or not legibly."""
    for preference in (prefer or "").split(","):
        if found := PREFERENCE.fullmatch(preference):
            digits = found[2].lstrip("0") or "0"
            return LONGEST if len(digits) > len(str(LONGEST)) else min(int(digits), LONGEST)
    return None


def take_place(conn: Connection[DictRow], *, places: int) -> bool:
    """Whether one of the places was free. It is held until the transaction ends, however that happens.

    Counted in the database, because the clients that wait are spread over sandboxes that do not know each other.
    """
    return conn.execute(TAKE_PLACE, (places, LOCKS)).fetchone() is not None


def until_change(conn: Connection[DictRow], task: DictRow, *, seconds: float) -> None:
    """Return as soon as there is something new to tell of a task, at the latest after so many seconds.

    Its place in the queue alone is nothing new: that would wake everybody for every task that is begun.
    """
    deadline = time.monotonic() + seconds
    while _revision(conn, task["id"]) == task["revision"] and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(PAUSE, left))


def _revision(conn: Connection[DictRow], task_id: int) -> int | None:
    """None once the task is deleted."""
    row = conn.execute(LOOK, (task_id,)).fetchone()
    if row is None:
        return None
    return _settled(conn, task_id) if row["needs_settling"] else int(row["revision"])


def _settled(conn: Connection[DictRow], task_id: int) -> int | None:
    """The revision a simulated task would have if it went on now. It is left as it is, and its row unlocked."""
    with conn.transaction() as attempt:
        sandbox.settle(conn, task_id)
        row = conn.execute("SELECT revision FROM tasks WHERE id = %s", (task_id,)).fetchone()
        raise psycopg.Rollback(attempt)
    return None if row is None else int(row["revision"])
