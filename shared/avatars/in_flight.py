"""How many tasks of one owner may be open at once."""

from collections.abc import Mapping
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from avatars.owners import Owner
from avatars.refusals import Refusal

RETRY_AFTER = 10  # seconds; about what an avatar takes


class TooManyInFlight(Refusal):
    """So many of your tasks are open that none may be added: wait until one has ended, or cancel one. All tasks of a
    user count together, those of API keys included; tasks in test mode are counted apart."""

    status = 429
    code = "TOO_MANY_TASKS_IN_FLIGHT"
    title = "Too many tasks are open"

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(None if limit is None else f"At most {limit} tasks may be open at once")
        self.headers: Mapping[str, str] = {
            "Retry-After": str(RETRY_AFTER),
            "RateLimit-Policy": f'"in-flight";q={limit}',
            "RateLimit": f'"in-flight";r=0;t={RETRY_AFTER}',
        }


def check(conn: Connection[DictRow], *, owner: Owner, test_mode: bool, limit: int) -> None:
    """Raises TooManyInFlight when `limit` tasks are open; 0 lets any number be."""
    if limit and _open(conn, owner, test_mode) >= limit:
        raise TooManyInFlight(limit)


def reserve(conn: Connection[DictRow], *, owner: Owner, test_mode: bool, limit: int) -> None:
    """The same, and until the transaction ends nobody else adds a task of this owner."""
    if limit:
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"in-flight {_name(owner)}",))
    check(conn, owner=owner, test_mode=test_mode, limit=limit)


def _open(conn: Connection[DictRow], owner: Owner, test_mode: bool) -> int:
    row = conn.execute(
        f"""
        SELECT count(*) AS number FROM tasks
        WHERE finished_at IS NULL AND test_mode = %(test_mode)s AND {_of(owner)}
        """,  # noqa: S608  # LiteralStrings alone
        {"test_mode": test_mode, "user_id": owner.user_id, "api_key_id": owner.api_key_id},
    ).fetchone()
    assert row is not None  # an aggregate is one row
    return int(row["number"])


def _of(owner: Owner) -> LiteralString:
    """All of a user, of a key without one, or of those who need no key."""
    if owner.user_id is not None:
        return "user_id = %(user_id)s"
    return "user_id IS NULL AND api_key_id " + ("IS NULL" if owner.api_key_id is None else "= %(api_key_id)s")


def _name(owner: Owner) -> str:
    return f"key {owner.api_key_id}" if owner.user_id is None else f"user {owner.user_id}"
