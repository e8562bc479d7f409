"""Objects to delete from storage: noted with the change that made them superfluous, carried out later, never lost."""

from datetime import timedelta
from typing import Protocol

from psycopg import Connection
from psycopg.rows import DictRow

from avatars.media import Address

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)


class Objects(Protocol):
    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that is gone already is fine."""


def add(conn: Connection[DictRow], *, bucket: str, object_key: str, due_in: timedelta = timedelta()) -> None:
    """Have an object deleted, unless a media_objects row describes it by then. Noted twice, the earlier time counts."""
    conn.execute(
        """
        INSERT INTO object_deletions (bucket, object_key, due_at) VALUES (%s, %s, now() + %s)
        ON CONFLICT (bucket, object_key) DO UPDATE SET due_at = least(object_deletions.due_at, excluded.due_at)
        """,
        (bucket, object_key, due_in),
    )


def put_off(conn: Connection[DictRow], *, bucket: str, object_key: str, due_in: timedelta) -> None:
    """Have an object deleted so late, even if it was noted before: whoever is deleting it is done first."""
    conn.execute(
        """
        INSERT INTO object_deletions (bucket, object_key, due_at) VALUES (%s, %s, now() + %s)
        ON CONFLICT (bucket, object_key) DO UPDATE SET due_at = excluded.due_at
        """,
        (bucket, object_key, due_in),
    )


def due(conn: Connection[DictRow], *, limit: int, ahead: timedelta = timedelta()) -> list[Address]:
    """What is to be deleted by now, or in the time `ahead`; the longest due first."""
    rows = conn.execute(
        "SELECT bucket, object_key FROM object_deletions WHERE due_at <= now() + %s ORDER BY due_at LIMIT %s",
        (ahead, limit),
    ).fetchall()
    return [Address(row["bucket"], row["object_key"]) for row in rows]


def carry_out(conn: Connection[DictRow], address: Address, *, objects: Objects, ahead: timedelta = timedelta()) -> None:
    """Delete one object and forget it; nothing if another is at it. What media_objects describes is only forgotten.

    The storage is called while the note is locked, and nothing else is: no client waits for a note. Unlocked, it could
    be put off in between, and a file would go that was just put there; forgotten first, it could be left for ever.
    """
    row = conn.execute(
        """
        SELECT EXISTS (
            SELECT FROM media_objects m WHERE m.bucket = d.bucket AND m.object_key = d.object_key
        ) AS is_described
        FROM object_deletions d WHERE d.bucket = %s AND d.object_key = %s AND d.due_at <= now() + %s
        FOR UPDATE SKIP LOCKED
        """,
        (*address, ahead),
    ).fetchone()
    if row is None:
        return
    if not row["is_described"]:
        objects.delete(*address)
    again = conn.execute(
        """
        UPDATE object_deletions SET due_at = again_at, again_at = NULL, failures = 0, last_error = NULL
        WHERE bucket = %s AND object_key = %s AND again_at > now()
        """,
        address,
    )
    if again.rowcount == 0:
        conn.execute("DELETE FROM object_deletions WHERE bucket = %s AND object_key = %s", address)


def record_failure(conn: Connection[DictRow], address: Address, error: str) -> None:
    """Try again later, and later each time."""
    conn.execute(
        """
        UPDATE object_deletions SET
            failures = failures + 1, last_error = %(error)s,
            due_at = now() + least(%(first)s * power(2, least(failures, 20)), %(longest)s)
        WHERE bucket = %(bucket)s AND object_key = %(object_key)s
        """,
        {"error": error[:500], "first": FIRST_PAUSE, "longest": LONGEST_PAUSE, **address._asdict()},
    )
