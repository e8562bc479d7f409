"""Idempotency keys: a create that is sent again makes nothing twice and gets the first answer again."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import BaseModel, Field

from avatars import users
from avatars.owners import Owner
from avatars.refusals import Refusal

Transaction = Callable[[], AbstractContextManager[Connection[DictRow]]]

LOCK = timedelta(seconds=60)

IdempotencyKey = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")]


class IdempotencyHeaders(BaseModel):
    idempotency_key: IdempotencyKey | None = Field(
        default=None,
        alias="idempotency-key",
        description="A fresh random value per thing to make. The same request sent again with it within 24 hours makes "
        "nothing new: its answer is the first one, with `Idempotent-Replayed: true` and freshly signed URLs.",
        examples=["5f0e6c1e-8d0b-4a54-9c0e-6d2f6a3f8b11"],
    )


class KeyReused(Refusal):
    """The `Idempotency-Key` was sent before with another request. Use a fresh key for every thing you make, and
    repeat a request with its key only as it was."""

    status = 422
    code = "IDEMPOTENCY_KEY_REUSED"
    title = "The Idempotency-Key was used for another request"


class KeyInFlight(Refusal):
    """The first request with this `Idempotency-Key` is still under way. Wait as `Retry-After` says and send the same
    request again: it gets the answer of the first."""

    status = 409
    code = "IDEMPOTENCY_KEY_IN_FLIGHT"
    title = "A request with this Idempotency-Key is under way"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


@dataclass(frozen=True)
class Ticket:
    """The right to make one thing. Without an id no key was sent; with `made` it was made already: a replay.

    `locked_until` tells two holders apart when a lock was taken over: only the later one may complete.
    """

    id: int | None
    made: uuid.UUID | None
    locked_until: datetime | None = None


def fingerprint(request: Mapping[str, object]) -> bytes:
    """SHA-256 of what was asked for, however it was spelt. Bytes count by their own hash."""

    def digest(value: object) -> str:
        return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)

    return hashlib.sha256(json.dumps(request, sort_keys=True, default=digest).encode()).digest()


def begin(conn: Connection[DictRow], *, owner: Owner, operation: str, key: str | None, fingerprint: bytes) -> Ticket:
    """Lock a key, or find what it made. `fingerprint` is a SHA-256 of the request.

    Raises KeyReused, KeyInFlight or UserGone.
    """
    if key is None:
        return Ticket(id=None, made=None)
    users.hold(conn, owner)
    scope = {"user_id": owner.user_id, "api_key_id": owner.api_key_id, "operation": operation, "key": key}
    while True:  # a second time only when the key was given up between the two statements
        if (ticket := _lock(conn, scope, fingerprint)) is not None:
            return ticket
        row = conn.execute(
            """
            SELECT id, made, fingerprint FROM idempotency_keys
            WHERE user_id IS NOT DISTINCT FROM %(user_id)s AND api_key_id IS NOT DISTINCT FROM %(api_key_id)s
              AND operation = %(operation)s AND key = %(key)s
            """,
            scope,
        ).fetchone()
        if row is not None:
            return _found(row, fingerprint)


def complete(conn: Connection[DictRow], ticket: Ticket, made: uuid.UUID) -> None:
    """Write down what was made, in the transaction that makes it.

    Raises KeyInFlight when the lock ran out meanwhile and another request has it: then nothing may be made here.
    """
    if ticket.id is None:
        return
    done = conn.execute(
        "UPDATE idempotency_keys SET made = %s WHERE id = %s AND made IS NULL AND locked_until = %s",
        (made, ticket.id, ticket.locked_until),
    )
    if done.rowcount == 0:
        raise KeyInFlight


def abandon(conn: Connection[DictRow], ticket: Ticket) -> None:
    """Give the key up: nothing was made, and the same key may be used again. A key that made something stays."""
    conn.execute(
        "DELETE FROM idempotency_keys WHERE id = %s AND made IS NULL AND locked_until = %s",
        (ticket.id, ticket.locked_until),
    )


@contextmanager
def given_up_on_failure(transaction: Transaction, ticket: Ticket, *, unavailable: type[Exception]) -> Iterator[None]:
    """Whatever fails in this block, the client need not wait for the lock to run out.

    With the database `unavailable` the client must after all, and hears of what failed first.
    """
    try:
        yield
    except BaseException:
        if ticket.id is not None:
            with suppress(unavailable), transaction() as conn:
                abandon(conn, ticket)
        raise


def _lock(conn: Connection[DictRow], scope: Mapping[str, object], fingerprint: bytes) -> Ticket | None:
    """A new key, or one whose holder has been silent for so long that it must be dead."""
    row = conn.execute(
        """
        INSERT INTO idempotency_keys AS k (user_id, api_key_id, operation, key, fingerprint, locked_until)
        VALUES (%(user_id)s, %(api_key_id)s, %(operation)s, %(key)s, %(fingerprint)s, clock_timestamp() + %(lock)s)
        ON CONFLICT (user_id, api_key_id, operation, key) DO UPDATE SET locked_until = excluded.locked_until
        WHERE k.made IS NULL AND k.locked_until < clock_timestamp() AND k.fingerprint = excluded.fingerprint
        RETURNING id, locked_until
        """,
        {**scope, "fingerprint": fingerprint, "lock": LOCK},
    ).fetchone()
    return None if row is None else Ticket(id=row["id"], made=None, locked_until=row["locked_until"])


def _found(row: DictRow, fingerprint: bytes) -> Ticket:
    if row["fingerprint"] != fingerprint:
        raise KeyReused
    if row["made"] is None:
        raise KeyInFlight
    return Ticket(id=row["id"], made=row["made"])
