"""On a schedule: send the announcements that their function could not."""

import time
import uuid
from datetime import datetime

from avatars import outbox
from facet import broker, db, objects, turns
from facet.function import Function
from facet.settings import settings

app = Function("relay_outbox")

SWEEP_SECONDS = 15
SWEEP_ENTRIES = 2000


@app.scheduled
def relay_outbox(now: datetime) -> None:
    """One sweep. It stops early when a server is away, because then every entry would fail the same way."""
    deadline = time.monotonic() + SWEEP_SECONDS
    with db.transaction() as conn:
        entries = outbox.waiting(conn, limit=SWEEP_ENTRIES)
    for entry in entries:
        if time.monotonic() > deadline or not relay(entry):
            return


def relay(entry: uuid.UUID) -> bool:
    """Whether to go on with the next entry."""
    return turns.attempt(
        lambda conn: outbox.send(conn, entry, to=settings(), broker=broker, objects=objects),
        lambda conn, error: outbox.record_failure(conn, entry, error),
        words="not sent",
        entry=str(entry),
    )
