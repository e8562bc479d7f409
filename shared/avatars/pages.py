"""Pages of tasks: newest first, from where the last one ended, however many were made or deleted meanwhile."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import documents, tasks
from avatars.documents import NEEDS_SETTLING
from avatars.owners import Owner, sees_tasks
from avatars.refusals import Refusal

ID_BYTES, SEAL_BYTES = 8, 12
PURPOSE = b"cursor of a list of tasks"


class CursorInvalid(Refusal):
    """The `cursor` is not one that this service gave out. Take it unchanged from `next_cursor` or from the Link of the
    page before; to begin anew, leave it out."""

    status = 400
    code = "CURSOR_INVALID"
    title = "The cursor is not valid"


@dataclass(frozen=True)
class Filter:
    """Which tasks: those in one of these states (all if none is named), made between the two times, both excluded."""

    statuses: Sequence[str] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Rows for `resource.task_of`; `last_id` is where the next page goes on, None if there is none."""

    rows: list[DictRow]
    last_id: int | None


def read(conn: Connection[DictRow], *, owner: Owner, chosen: Filter, limit: int, after_id: int | None) -> Page:
    """The newest tasks of an owner, or those that follow the task with the id `after_id`."""
    rows = _rows(conn, owner, chosen, limit + 1, after_id, with_unsettled=True)
    if tasks.settle(conn, rows):
        rows = _rows(conn, owner, chosen, limit + 1, after_id, with_unsettled=False)
    has_more = len(rows) > limit
    return Page(rows[:limit], rows[limit - 1]["id"] if has_more else None)


def seal(task_id: int, *, key: bytes) -> str:
    """The cursor of a page that goes on after this task; only who has the key can make one."""
    place = task_id.to_bytes(ID_BYTES, "big")
    return urlsafe_b64encode(place + _seal(place, key)).decode()


def unseal(cursor: str, *, key: bytes) -> int:
    """Raises CursorInvalid."""
    try:
        content = urlsafe_b64decode(cursor.encode("ascii"))
    except (Error, ValueError):
        raise CursorInvalid from None
    place = content[:ID_BYTES]
    if not hmac.compare_digest(content[ID_BYTES:], _seal(place, key)):
        raise CursorInvalid
    return int.from_bytes(place, "big")


def _seal(place: bytes, key: bytes) -> bytes:
    return hmac.digest(hmac.digest(key, PURPOSE, "sha256"), place, "sha256")[:SEAL_BYTES]


def _rows(
    conn: Connection[DictRow], owner: Owner, chosen: Filter, limit: int, after_id: int | None, *, with_unsettled: bool
) -> list[DictRow]:
    """What a simulated task's state will be is not known before it is settled, so such a one passes every filter."""
    return conn.execute(
        f"""
        WITH mine AS (
            SELECT t.*, {NEEDS_SETTLING} FROM tasks t
            WHERE {sees_tasks(owner)}
              AND (%(after_id)s::bigint IS NULL OR t.id < %(after_id)s)
              AND (%(statuses)s::text[] IS NULL OR t.status = ANY(%(statuses)s)
                   OR (%(with_unsettled)s AND t.sandbox_due_at IS NOT NULL AND t.finished_at IS NULL))
              AND (%(created_after)s::timestamptz IS NULL OR t.created_at > %(created_after)s)
              AND (%(created_before)s::timestamptz IS NULL OR t.created_at < %(created_before)s)
            ORDER BY t.id DESC LIMIT %(limit)s
        )
        {documents.QUERY}
        """,  # noqa: S608  # LiteralStrings alone
        {
            "user_id": owner.user_id,
            "api_key_id": owner.api_key_id,
            "after_id": after_id,
            "statuses": list(chosen.statuses) or None,
            "with_unsettled": with_unsettled,
            "created_after": chosen.created_after,
            "created_before": chosen.created_before,
            "limit": limit,
        },
    ).fetchall()
