"""What has had its time: expired rows, and finished tasks of which nothing is to be kept.

Each function deletes at most `limit` rows, passes over those that somebody has locked, and says how many it deleted.
What will be due in the time `ahead` counts as due.
"""

from datetime import timedelta
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import removal

SIGN_INS_KEPT = timedelta(days=1)  # after their end
KEYS_KEPT = timedelta(hours=24)
UPLOADS_KEPT = timedelta(hours=24)  # after their URL: as long as a key can ask for one again
ERASED_TASKS_KEPT = timedelta(days=7)  # longer than any agent works, so that its late model is recognised

EXPIRED = """
    WITH expired AS MATERIALIZED (
        SELECT ctid AS place FROM {table} WHERE {which} LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {table} t USING expired WHERE t.ctid = expired.place
"""


def sign_ins(conn: Connection[DictRow], *, limit: int, ahead: timedelta = timedelta()) -> int:
    """Families of refresh tokens that expired or were revoked a day ago, and their tokens with them."""
    return _delete(
        conn,
        "refresh_families",
        "expires_at < now() - %(age)s OR revoked_at < now() - %(age)s",
        age=SIGN_INS_KEPT - ahead,
        limit=limit,
    )


def idempotency_keys(conn: Connection[DictRow], *, limit: int, ahead: timedelta = timedelta()) -> int:
    return _delete(conn, "idempotency_keys", "created_at < now() - %(age)s", age=KEYS_KEPT - ahead, limit=limit)


def uploads(conn: Connection[DictRow], *, limit: int, ahead: timedelta = timedelta()) -> int:
    """Used or not. Their objects have been noted for deletion since they began."""
    return _delete(conn, "uploads", "expires_at < now() - %(age)s", age=UPLOADS_KEPT - ahead, limit=limit)


def rate_limits(conn: Connection[DictRow], *, limit: int, ahead: timedelta = timedelta()) -> int:
    return _delete(conn, "rate_limits", "ends_at < now() - %(age)s", age=-ahead, limit=limit)


def erased_tasks(conn: Connection[DictRow], *, limit: int, ahead: timedelta = timedelta()) -> int:
    return _delete(conn, "erased_tasks", "erased_at < now() - %(age)s", age=ERASED_TASKS_KEPT - ahead, limit=limit)


def finished_tasks(conn: Connection[DictRow], *, days: int, limit: int, ahead: timedelta = timedelta()) -> int:
    """Tasks that ended so many days ago, with model and photo; a photo that another task has too stays for that."""
    old = conn.execute(
        """
        SELECT id FROM tasks WHERE finished_at < now() - %s
        ORDER BY finished_at LIMIT %s FOR UPDATE SKIP LOCKED
        """,
        (timedelta(days=days) - ahead, limit),
    ).fetchall()
    return removal.remove(conn, [row["id"] for row in old])


def _delete(conn: Connection[DictRow], table: LiteralString, which: LiteralString, **given: object) -> int:
    return conn.execute(EXPIRED.format(table=table, which=which), given).rowcount
