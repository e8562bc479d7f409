"""Accounts as operators see them, disabled ones too."""

from datetime import datetime

from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import BaseModel

from avatars import tokens
from avatars.users import UserNotFound


class Account(BaseModel):
    id: int
    email: str
    name: str
    created_at: datetime
    disabled_at: datetime | None
    test_mode: bool


def listed(conn: Connection[DictRow], *, after: int, limit: int) -> list[DictRow]:
    """The accounts behind an id, oldest first."""
    return conn.execute(
        "SELECT id, email, name, created_at, disabled_at, test_mode FROM users WHERE id > %s ORDER BY id LIMIT %s",
        (after, limit),
    ).fetchall()


def lock(conn: Connection[DictRow], email: str) -> int:
    """Take an account's row, before any other row of the user's, and return the id. Raises UserNotFound."""
    row = conn.execute("SELECT id FROM users WHERE lower(email) = lower(%s) FOR NO KEY UPDATE", (email,)).fetchone()
    if row is None:
        raise UserNotFound
    return int(row["id"])


def set_disabled(conn: Connection[DictRow], user_id: int, *, disabled: bool) -> DictRow:
    """Shut an account, which ends every session and every key's use, or open it again; the account."""
    if disabled:
        tokens.end_all(conn, user_id)
    return _changed(
        conn.execute(
            """
            UPDATE users SET disabled_at = CASE WHEN %s THEN coalesce(disabled_at, now()) END
            WHERE id = %s RETURNING *
            """,
            (disabled, user_id),
        ).fetchone()
    )


def set_test_mode(conn: Connection[DictRow], user_id: int, *, on: bool) -> DictRow:
    """Whether what the user makes from now on reaches an agent; the account."""
    return _changed(conn.execute("UPDATE users SET test_mode = %s WHERE id = %s RETURNING *", (on, user_id)).fetchone())


def _changed(row: DictRow | None) -> DictRow:
    assert row is not None  # the caller has locked it
    return row
