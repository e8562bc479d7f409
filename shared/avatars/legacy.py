"""Taking over what the old system holds: how a row fared, what is remembered of it, and which ids are kept."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from psycopg import Connection
from psycopg.rows import DictRow

from avatars.legacy_rows import HIGHEST_ID


class Note(NamedTuple):
    """Why a row was left out, or what of it is not as it was. Nothing in it is personal."""

    code: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """How a row fared. `notes` of one that was skipped say why, of one that was imported what is different now."""

    state: Literal["imported", "present", "skipped"]
    notes: tuple[Note, ...] = ()


PRESENT = Outcome("present")


def skipped(code: str, reason: str) -> Outcome:
    return Outcome("skipped", (Note(code, reason),))


class Taken(NamedTuple):
    """Where an old row went. It may have been deleted here since."""

    legacy_id: int
    new_id: int


def recall(conn: Connection[DictRow], kind: Literal["user", "task"], keys: list[str]) -> dict[str, Taken]:
    """What was taken over of these by this run or an earlier one."""
    rows = conn.execute(
        "SELECT key, legacy_id, new_id FROM legacy_imports WHERE kind = %s AND key = ANY(%s)", (kind, keys)
    ).fetchall()
    return {row["key"]: Taken(row["legacy_id"], row["new_id"]) for row in rows}


def remember(conn: Connection[DictRow], kind: Literal["user", "task"], key: str, taken: Taken) -> None:
    """In the transaction that takes the row over: both or neither."""
    conn.execute(
        "INSERT INTO legacy_imports (kind, key, legacy_id, new_id) VALUES (%s, %s, %s, %s)", (kind, key, *taken)
    )


def reserve_ids(conn: Connection[DictRow], table: Literal["users", "tasks"], highest: int) -> None:
    """Let new rows be counted from above the old ones. To be done first: somebody may be registering right now."""
    conn.execute(
        """
        SELECT setval(ids, %(highest)s) FROM (SELECT pg_get_serial_sequence(%(table)s, 'id')::regclass AS ids) s
        WHERE coalesce(pg_sequence_last_value(ids), 0) < %(highest)s
        """,
        {"table": table, "highest": highest},
    )


def kept_id(legacy_id: int) -> int | None:
    """The id to ask for; None where it is one that cannot be kept."""
    return legacy_id if 1 <= legacy_id <= HIGHEST_ID else None
