"""Tasks as their owners see them: made, read and listed, never another's."""

import re
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from avatars import documents, in_flight, sandbox, users
from avatars.documents import NEEDS_SETTLING
from avatars.owners import Owner, is_web_user, sees_tasks
from avatars.refusals import Refusal
from avatars.sandbox import Outcome

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class TaskNotFound(Refusal):
    """There is no task of this UUID among yours: never made, deleted, or another owner's, which the answer does not
    tell apart. Check the UUID, and that you ask with the token or key of whoever made the task."""

    status = 404
    code = "TASK_NOT_FOUND"
    title = "The task was not found"

    def __init__(self, request_uuid: uuid.UUID | str, owner: Owner | None = None) -> None:
        """Without an owner it is an operator who asked."""
        words = "not found" if owner is not None and is_web_user(owner) else "was not found"
        super().__init__(f"The task with request uuid {request_uuid} {words}")


class ResultNotFound(Refusal):
    """There is no such task, or it has no avatar: it is still open, or ended without one. Ask for the task's status
    until it is finished."""

    status = 404
    code = "RESULT_NOT_FOUND"
    title = "The task result was not found"

    def __init__(self, request_uuid: str) -> None:
        super().__init__(f"The task result with request uuid {request_uuid} not found")


@dataclass(frozen=True)
class NewTask:
    id: int
    request_uuid: uuid.UUID
    created_at: datetime


def create(
    conn: Connection[DictRow],
    *,
    owner: Owner,
    photo_id: int,
    output_bucket: str,
    traceparent: str | None,
    request_uuid: uuid.UUID | None = None,
    options: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    retry_of: uuid.UUID | None = None,
    outcome: Outcome | None = None,
    limit: int = 0,
) -> NewTask:
    """Add a task in INITIAL, in test mode when it has an outcome. `limit` is how many may be open at once, 0 any.

    Raises UserGone when the owner has been erased or disabled meanwhile, and TooManyInFlight.
    """
    users.hold(conn, owner)
    in_flight.reserve(conn, owner=owner, test_mode=outcome is not None, limit=limit)
    row = conn.execute(
        """
        INSERT INTO tasks (request_uuid, user_id, api_key_id, client_type, photo_id, output_bucket, traceparent,
                           options, metadata, retry_of, test_mode, sandbox_outcome, sandbox_due_at)
        VALUES (%(request_uuid)s, %(user_id)s, %(api_key_id)s, %(client_type)s, %(photo_id)s, %(output_bucket)s,
                %(traceparent)s, %(options)s, %(metadata)s, %(retry_of)s,
                %(outcome)s::text IS NOT NULL, %(outcome)s, now() + %(due_in)s)
        RETURNING id, request_uuid, created_at
        """,
        {
            "request_uuid": request_uuid or uuid.uuid4(),
            "user_id": owner.user_id,
            "api_key_id": owner.api_key_id,
            "client_type": "WEB_SERVICE" if is_web_user(owner) else "EXTERNAL_INTEGRATION",
            "photo_id": photo_id,
            "output_bucket": output_bucket,
            "traceparent": _trace(traceparent),
            "options": Jsonb(options or {}),
            "metadata": Jsonb(metadata or {}),
            "retry_of": retry_of,
            "outcome": None if outcome is None else outcome.text,
            "due_in": None if outcome is None else outcome.due_in,
        },
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    return NewTask(row["id"], row["request_uuid"], row["created_at"])


def whole(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> DictRow:
    """All of a task, for `resource.task_of`. Raises TaskNotFound."""
    row = _find(conn, owner, request_uuid, documents.QUERY)
    if row is None:
        raise TaskNotFound(request_uuid, owner)
    return row


def state_of(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> DictRow:
    """A task's `status` and `finished_at`. Raises TaskNotFound."""
    row = _find(conn, owner, request_uuid, "SELECT t.id, t.status, t.finished_at, t.needs_settling FROM mine t")
    if row is None:
        raise TaskNotFound(request_uuid, owner)
    return row


def result_of(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> DictRow:
    """Where the model is and its skin colour. Raises ResultNotFound."""
    row = _find(
        conn,
        owner,
        request_uuid,
        """
        SELECT m.bucket, m.object_key, t.skin_color_hex, t.id, t.needs_settling
        FROM mine t LEFT JOIN media_objects m ON m.id = t.model_id
        """,
    )
    if row is None or row["object_key"] is None:
        raise ResultNotFound(request_uuid)
    return row


def history_of(conn: Connection[DictRow], owner: Owner) -> list[DictRow]:
    """The user's tasks that are open or have succeeded, oldest first, each with where its photo is."""

    def read() -> list[DictRow]:
        return conn.execute(
            f"""
            SELECT t.id, t.request_uuid, t.created_at, m.bucket, m.object_key, {NEEDS_SETTLING}
            FROM tasks t JOIN media_objects m ON m.id = t.photo_id
            WHERE t.user_id = %s AND t.status NOT IN ('FAILED', 'INVALID_INPUT', 'CANCELLED')
            ORDER BY t.id
            """,  # noqa: S608  # LiteralStrings alone
            (owner.user_id,),
        ).fetchall()

    rows = read()
    return read() if settle(conn, rows) else rows


def settle(conn: Connection[DictRow], rows: Iterable[DictRow]) -> bool:
    """Let the simulated tasks among these go on; whether there were any, so that the rows must be read again.

    Always in the same order: two who read the same tasks would otherwise wait for each other.
    """
    ids = sorted(row["id"] for row in rows if row["needs_settling"])
    for task_id in ids:
        sandbox.settle(conn, task_id)
    return bool(ids)


def _find(conn: Connection[DictRow], owner: Owner, request_uuid: str, query: LiteralString) -> DictRow | None:
    """What `query` asks of `mine`, which is the task of that UUID if this owner may see it, else nothing."""
    try:
        key = uuid.UUID(request_uuid)
    except ValueError:
        return None

    def read() -> DictRow | None:
        return conn.execute(
            f"""
            WITH mine AS (
                SELECT t.*, {NEEDS_SETTLING} FROM tasks t
                WHERE t.request_uuid = %(request_uuid)s AND {sees_tasks(owner)}
            )
            {query}
            """,  # noqa: S608  # LiteralStrings alone
            {"request_uuid": key, "user_id": owner.user_id, "api_key_id": owner.api_key_id},
        ).fetchone()

    row = read()
    return read() if row is not None and settle(conn, [row]) else row


def _trace(given: str | None) -> str:
    """The caller's trace, or a new one: a broken traceparent starts afresh (W3C Trace Context, 4.3)."""
    if given is not None and TRACEPARENT.fullmatch(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
