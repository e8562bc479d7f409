"""Waiting for a task to change (RFC 7240, `Prefer: wait`), for as many clients at once as the service can hold."""

import re
import time
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from avatars.sandbox import GOES_ON

LONGEST = 20  # seconds
PAUSE = 0.25  # seconds between two looks
PREFERENCE = re.compile(r'\s*wait\s*=\s*("?)([0-9]+)\1\s*(?:;.*)?', re.IGNORECASE | re.DOTALL)
LOOK: LiteralString = f"SELECT t.revision, {GOES_ON} AS goes_on FROM tasks t WHERE t.id = %s"  # noqa: S608  # no input
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
    while not _has_news(conn, task) and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(PAUSE, left))


def _has_news(conn: Connection[DictRow], task: DictRow) -> bool:
    """Only looks: a simulated task goes on when it is read, and one that is deleted is news too."""
    row = conn.execute(LOOK, (task["id"],)).fetchone()
    return row is None or row["goes_on"] or row["revision"] != task["revision"]
