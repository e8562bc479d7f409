"""On a schedule: delete rows that have had their time, and the stored objects that nothing describes any more."""

import time
from datetime import datetime, timedelta
from functools import partial

from avatars import deletions, purging
from avatars.media import Address
from facet import db, objects, turns
from facet.function import Function
from facet.settings import settings

app = Function("purge_expired")

ROW_SECONDS = 8  # then no further batch of rows begins
SWEEP_SECONDS = 7  # the same of objects; a storage that is away may take 20 more to say so
OBJECT_SECONDS = 10
OBJECTS = 50  # each is a call and a transaction of its own


@app.scheduled
def purge_expired(now: datetime) -> None:
    """Repeating it changes nothing, and two at once share the work.

    Objects come last: a storage that hangs must not hold up what is to be deleted from the database.
    """
    ahead = turns.ahead(now)
    steps = {
        "sign-ins": turns.batch(purging.sign_ins, ahead=ahead),
        "idempotency keys": turns.batch(purging.idempotency_keys, ahead=ahead),
        "rate limits": turns.batch(purging.rate_limits, ahead=ahead),
        "uploads": turns.batch(purging.uploads, ahead=ahead),
        "erased tasks": turns.batch(purging.erased_tasks, ahead=ahead),
    }
    if days := settings().retention_days:
        steps["finished tasks"] = turns.batch(purging.finished_tasks, days=days, ahead=ahead)
    turns.take(steps, seconds=ROW_SECONDS)
    turns.take({"objects": partial(delete_objects, ahead)}, seconds=SWEEP_SECONDS)


def delete_objects(ahead: timedelta) -> bool:
    """A batch ends early when the storage is away, because then every object would fail the same way."""
    with db.transaction() as conn:
        due = deletions.due(conn, limit=OBJECTS, ahead=ahead)
    deadline = time.monotonic() + OBJECT_SECONDS
    return all(time.monotonic() < deadline and delete(address, ahead) for address in due) and len(due) == OBJECTS


def delete(address: Address, ahead: timedelta) -> bool:
    """Whether to go on with the next object."""
    return turns.attempt(
        lambda conn: deletions.carry_out(conn, address, objects=objects, ahead=ahead),
        lambda conn, error: deletions.record_failure(conn, address, error),
        words="not deleted",
        **address._asdict(),
    )
