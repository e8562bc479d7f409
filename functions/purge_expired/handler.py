"""On a schedule: delete rows that have had their time, and the stored objects that nothing describes any more."""

import time
from datetime import datetime

from avatars import deletions, idempotency, purging, uploads
from facet import db, log, objects, turns
from facet.function import Function
from facet.problems import Problem
from facet.settings import settings

app = Function("purge_expired")

PURGE_SECONDS = 15  # then no further batch begins; a storage that is away may take 20 more to say so
OBJECT_SECONDS = 10
OBJECTS = 50  # each is a call and a transaction of its own


@app.scheduled
def purge_expired(now: datetime) -> None:
    """Repeating it changes nothing, and two at once share the work."""
    steps = {
        "sign-ins": turns.batch(purging.sign_ins),
        "idempotency keys": turns.batch(idempotency.purge),
        "rate limits": turns.batch(purging.rate_limits),
        "uploads": turns.batch(uploads.purge),
        "erased tasks": turns.batch(purging.erased_tasks),
        "objects": delete_objects,
    }
    if now.minute == 0:  # it looks at every row, and finds none unless something went wrong
        steps["orphans"] = turns.batch(purging.orphans)
    if days := settings().retention_days:
        steps["finished tasks"] = turns.batch(purging.finished_tasks, days=days)
    turns.take(steps, seconds=PURGE_SECONDS)


def delete_objects() -> bool:
    """A batch ends early when the storage is away, because then every object would fail the same way."""
    with db.transaction() as conn:
        due = deletions.due(conn, limit=OBJECTS)
    deadline = time.monotonic() + OBJECT_SECONDS
    return all(time.monotonic() < deadline and delete(address) for address in due) and len(due) == OBJECTS


def delete(address: deletions.Address) -> bool:
    """Whether to go on with the next object."""
    try:
        with db.transaction() as conn:
            deletions.carry_out(conn, address, objects=objects)
    except Exception as error:  # one object that cannot be deleted must not hold up the others
        log.get().warning("not deleted", extra={**address._asdict(), "cause": repr(error)})
        with db.transaction() as conn:
            deletions.record_failure(conn, address, str(error))
        return not isinstance(error, Problem)
    return True
