"""Tasks of the old system: whose they are now, and how one and its files come to be stored together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, legacy, media
from avatars.legacy import Note, Outcome, Taken
from avatars.legacy_preparation import FAILURES, File, Prepared, colour_of, uuid_of
from avatars.legacy_rows import OldTask
from avatars.legacy_users import key_of
from avatars.owners import Owner, is_web_user
from avatars.users import findable_email

ABANDONED_AFTER = timedelta(hours=1)  # then files of a run that died are deleted, unless another run took them


class Objects(Protocol):
    def put(self, bucket: str, key: str, body: bytes, *, content_type: str) -> None: ...


class ApiKeyUnknown(Exception):
    """There is no such API key, or it was revoked."""


@dataclass(frozen=True)
class NewOwner:
    user_id: int | None
    api_key_id: int | None


NOBODY = NewOwner(None, None)


def holder_of(conn: Connection[DictRow], api_key_id: int) -> NewOwner:
    """Who owns what is given to an API key. Raises ApiKeyUnknown."""
    row = conn.execute("SELECT user_id FROM api_keys WHERE id = %s AND revoked_at IS NULL", (api_key_id,)).fetchone()
    if row is None:
        raise ApiKeyUnknown(f"There is no API key {api_key_id} in use. `facet apikey list` shows them.")
    return NewOwner(row["user_id"], api_key_id)


def present(conn: Connection[DictRow], olds: Sequence[OldTask]) -> set[int]:
    """The old ids of those that need nothing more: taken over before, or a task here."""
    keys = {old.id: key for old in olds if (key := uuid_of(old)) is not None}
    rows = conn.execute(
        "SELECT request_uuid FROM tasks WHERE request_uuid = ANY(%s)", (list(keys.values()),)
    ).fetchall()
    known = {str(row["request_uuid"]) for row in rows} | legacy.recall(conn, "task", [*map(str, keys.values())]).keys()
    return {legacy_id for legacy_id, key in keys.items() if str(key) in known}


def owners(conn: Connection[DictRow], olds: Sequence[OldTask], *, outside: Owner | None) -> dict[int, Owner | Note]:
    """Of every old task, by its id, who owns it now, or why nobody does. `outside` gets what had no user."""
    keys = {old.id: key_of(findable_email(old.email)) for old in olds if old.email}
    taken = legacy.recall(conn, "user", list(keys.values()))
    rows = conn.execute(
        "SELECT id FROM users WHERE id = ANY(%s)", ([user.new_id for user in taken.values()],)
    ).fetchall()
    living = {row["id"] for row in rows}
    return {old.id: _owner(old, taken.get(keys.get(old.id, "")), living, outside) for old in olds}


def _owner(old: OldTask, user: Taken | None, living: set[int], outside: Owner | None) -> Owner | Note:
    if old.user_id is None and outside is None:
        return Note("NO_OWNER", "it came from an outside system: --api-key-id says which key is to have it")
    if old.user_id is None and outside is not None:
        return outside
    if user is None or user.legacy_id != old.user_id:
        return Note("USER_SKIPPED", f"its user, old user {old.user_id}, was not taken over")
    if user.new_id not in living:
        return Note("USER_ERASED", "its user has been erased here since")
    return NewOwner(user.new_id, None)


def announce(conn: Connection[DictRow], task: Prepared) -> None:
    """Note the files before they are there: if this run dies, they are deleted. One that died noted the same model."""
    for file in task.files:
        deletions.put_off(conn, bucket=file.bucket, object_key=file.object_key, due_in=ABANDONED_AFTER)


def put(task: Prepared, *, objects: Objects) -> None:
    """Put the files that were announced; with no transaction open, because they may be large."""
    for file in task.files:
        objects.put(file.bucket, file.object_key, file.data, content_type=file.content_type)


def store(conn: Connection[DictRow], task: Prepared) -> Outcome:
    """Make the task whose files were put. Raises AlreadyClaimed when another run has just done so."""
    claimed: dict[str, int] = {file.kind: _claim(conn, file) for file in task.files}
    new_id = _insert(conn, task, claimed)
    legacy.remember(conn, "task", str(task.request_uuid), Taken(task.old.id, new_id))
    changed = (Note("ID_CHANGED", f"the id was not free: {new_id} now"),) if new_id != task.old.id else ()
    return Outcome("imported", task.notes + changed)


def _claim(conn: Connection[DictRow], file: File) -> int:
    return media.claim(
        conn,
        kind=file.kind,
        bucket=file.bucket,
        object_key=file.object_key,
        content_type=file.content_type,
        data=file.data,
    )


def _insert(conn: Connection[DictRow], task: Prepared, claimed: Mapping[str, int]) -> int:
    old = task.old
    row = conn.execute(
        """
        INSERT INTO tasks (
            id, request_uuid, user_id, api_key_id, client_type, status, progress, photo_id, model_id, output_bucket,
            skin_color_hex, failure_code, failure_message, created_at, finished_at
        ) OVERRIDING SYSTEM VALUE
        VALUES (
            CASE WHEN %(id)s::bigint IS NULL OR EXISTS (SELECT FROM tasks WHERE id = %(id)s)
                 THEN nextval(pg_get_serial_sequence('tasks', 'id')) ELSE %(id)s END,
            %(request_uuid)s, %(user_id)s, %(api_key_id)s, %(client_type)s, %(status)s, %(progress)s,
            %(photo_id)s, %(model_id)s, %(output_bucket)s, %(skin_color_hex)s, %(failure_code)s, %(failure_message)s,
            coalesce(%(created_at)s, now()), coalesce(greatest(%(updated_at)s::timestamptz, %(created_at)s), now()))
        RETURNING id
        """,
        {
            "id": legacy.kept_id(old.id),
            "request_uuid": task.request_uuid,
            "user_id": task.owner.user_id,
            "api_key_id": task.owner.api_key_id,
            "client_type": "WEB_SERVICE" if is_web_user(task.owner) else "EXTERNAL_INTEGRATION",
            "status": task.status,
            "progress": 100 if task.status == "SUCCESS" else 0,
            "photo_id": claimed["photo"],
            "model_id": claimed.get("model"),
            "output_bucket": task.output_bucket,
            "skin_color_hex": colour_of(old) if task.status == "SUCCESS" else None,
            "failure_code": task.failure,
            "failure_message": FAILURES[task.failure] if task.failure else None,
            "created_at": old.created_at,
            "updated_at": old.updated_at,
        },
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    return int(row["id"])
