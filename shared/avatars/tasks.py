"""Tasks as their owners see them: made, read and listed, never another's."""

import re
import secrets
import uuid
from dataclasses import dataclass
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import documents
from avatars.owners import Owner, is_web_user, sees_tasks
from avatars.refusals import Refusal, UserGone

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class TaskNotFound(Refusal):
    """There is no task of this UUID among yours: never made, deleted, or another owner's, which the answer does not
    tell apart. Check the UUID, and that you ask with the token or key of whoever made the task."""

    status = 404
    code = "TASK_NOT_FOUND"
    title = "The task was not found"

    def __init__(self, request_uuid: str, owner: Owner) -> None:
        words = "not found" if is_web_user(owner) else "was not found"
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


def create(
    conn: Connection[DictRow], *, owner: Owner, photo_id: int, output_bucket: str, traceparent: str | None
) -> NewTask:
    """Add a task in INITIAL. Raises UserGone when the owner has been erased or disabled meanwhile."""
    row = conn.execute(
        """
        INSERT INTO tasks (user_id, api_key_id, client_type, photo_id, output_bucket, traceparent)
        SELECT %(user_id)s::bigint, %(api_key_id)s::bigint, %(client_type)s,
               %(photo_id)s, %(output_bucket)s, %(traceparent)s
        WHERE %(user_id)s::bigint IS NULL
           OR EXISTS (SELECT FROM users WHERE id = %(user_id)s::bigint AND disabled_at IS NULL)
        RETURNING id, request_uuid
        """,
        {
            "user_id": owner.user_id,
            "api_key_id": owner.api_key_id,
            "client_type": "WEB_SERVICE" if is_web_user(owner) else "EXTERNAL_INTEGRATION",
            "photo_id": photo_id,
            "output_bucket": output_bucket,
            "traceparent": _trace(traceparent),
        },
    ).fetchone()
    if row is None:
        raise UserGone
    return NewTask(row["id"], row["request_uuid"])


def whole(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> DictRow:
    """All of a task, for `resource.task_of`. Raises TaskNotFound."""
    row = _find(conn, owner, request_uuid, documents.QUERY)
    if row is None:
        raise TaskNotFound(request_uuid, owner)
    return row


def status_of(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> str:
    """Raises TaskNotFound."""
    row = _find(conn, owner, request_uuid, "SELECT t.status FROM mine t")
    if row is None:
        raise TaskNotFound(request_uuid, owner)
    return str(row["status"])


def result_of(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> DictRow:
    """Where the model is and its skin colour. Raises ResultNotFound."""
    row = _find(
        conn,
        owner,
        request_uuid,
        """
        SELECT m.bucket, m.object_key, t.skin_color_hex
        FROM mine t JOIN media_objects m ON m.id = t.model_id
        WHERE t.status = 'SUCCESS'
        """,
    )
    if row is None:
        raise ResultNotFound(request_uuid)
    return row


def history_of(conn: Connection[DictRow], owner: Owner) -> list[DictRow]:
    """The user's tasks that are open or have succeeded, oldest first, each with where its photo is."""
    return conn.execute(
        """
        SELECT t.id, t.request_uuid, t.created_at, m.bucket, m.object_key
        FROM tasks t JOIN media_objects m ON m.id = t.photo_id
        WHERE t.user_id = %s AND t.status NOT IN ('FAILED', 'INVALID_INPUT', 'CANCELLED')
        ORDER BY t.id
        """,
        (owner.user_id,),
    ).fetchall()


def _find(conn: Connection[DictRow], owner: Owner, request_uuid: str, query: LiteralString) -> DictRow | None:
    """What `query` asks of `mine`, which is the task of that UUID if this owner may see it, else nothing."""
    try:
        key = uuid.UUID(request_uuid)
    except ValueError:
        return None
    return conn.execute(
        f"""
        WITH mine AS (SELECT t.* FROM tasks t WHERE t.request_uuid = %(request_uuid)s AND {sees_tasks(owner)})
        {query}
        """,  # noqa: S608  # LiteralStrings alone
        {"request_uuid": key, "user_id": owner.user_id, "api_key_id": owner.api_key_id},
    ).fetchone()


def _trace(given: str | None) -> str:
    """The caller's trace, or a new one: a broken traceparent starts afresh (W3C Trace Context, 4.3)."""
    if given is not None and TRACEPARENT.fullmatch(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
