"""Long work on a schedule: bounded batches of several kinds in turns, within the time a function has."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from facet import db, log
from facet.problems import Problem

Batch = Callable[[], bool]  # does a bounded part; whether there is more to do now

BATCH = 500  # rows


def ahead(now: datetime) -> timedelta:
    """How far the time of a schedule's event is ahead of the clock: nothing, unless it is tried out as if later."""
    return max(now - datetime.now(UTC), timedelta())


def batch(step: Callable[..., int], *, limit: int = BATCH, **given: object) -> Batch:
    """A step that gets a connection and `limit` and says how many it did, each time in a transaction of its own."""

    def do() -> bool:
        with db.transaction() as conn:
            return step(conn, limit=limit, **given) == limit

    return do


def take(batches: Mapping[str, Batch], *, seconds: float) -> None:
    """A batch of each in turns, until nothing is left or no further one may begin.

    One that fails is logged and left for the next time: it must not stand in the way of the others.
    """
    deadline = time.monotonic() + seconds
    waiting = deque(batches)
    while waiting and time.monotonic() < deadline:
        name = waiting.popleft()
        try:
            has_more = batches[name]()
        except Exception as error:
            log.get().warning("left for the next time", extra={"step": name, "cause": repr(error)})
            continue
        if has_more:
            waiting.append(name)


def attempt(
    action: Callable[[db.Connection], object],
    failed: Callable[[db.Connection, str], object],
    *,
    words: str,
    **what: str,
) -> bool:
    """One of many, in a transaction of its own; whether to go on with the next.

    A failure is logged as `words` about `what` and written down by `failed`: one must not hold up the others. But a
    server that is away ends the round, because then every one would fail the same way.
    """
    try:
        with db.transaction() as conn:
            action(conn)
    except Exception as error:
        log.get().warning(words, extra={**what, "cause": repr(error)})
        with db.transaction() as conn:
            failed(conn, str(error))
        return not isinstance(error, Problem)
    return True
