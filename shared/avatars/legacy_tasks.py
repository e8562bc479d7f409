"""Tasks of the old system: whose they are now, how they ended, and their files."""

import io
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from PIL import Image
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, glb, legacy, media, photos
from avatars.legacy import Note, Outcome, Taken
from avatars.legacy_rows import OldFile, OldTask
from avatars.legacy_source import FileMissing
from avatars.legacy_users import key_of
from avatars.owners import Owner, is_web_user
from avatars.refusals import Refusal
from avatars.results import MAX_MODEL_BYTES, MODEL_TYPE
from avatars.users import findable_email

OPEN = frozenset({"INITIAL", "PENDING", "IN_PROGRESS"})
ABANDONED_AFTER = timedelta(hours=1)  # then files of a run that died are deleted, unless another run took them
COLOUR = re.compile(r"#?([0-9a-f]{6})")
FAILURES = {
    "LEGACY_FAILED": "It failed in the system before this one.",
    "LEGACY_INVALID_INPUT": "The photo was refused in the system before this one.",
    "LEGACY_UNFINISHED": "It was not finished when the system before this one was replaced. Try it again.",
    "LEGACY_FILE_MISSING": "Its model was lost in the system before this one.",
    "LEGACY_FILE_INVALID": "Its model was damaged in the system before this one.",
}


class Storage(Protocol):
    def read(self, file: OldFile, *, limit: int) -> bytes:
        """All of a file. Raises FileMissing."""


class Objects(Protocol):
    def put(self, bucket: str, key: str, body: bytes, *, content_type: str) -> None: ...


class ApiKeyUnknown(Exception):
    """There is no such API key, or it was revoked."""


@dataclass(frozen=True)
class NewOwner:
    user_id: int | None
    api_key_id: int | None


NOBODY = NewOwner(None, None)


@dataclass(frozen=True)
class File:
    kind: Literal["photo", "model"]
    bucket: str
    object_key: str
    content_type: str
    data: bytes


@dataclass(frozen=True)
class Prepared:
    """A task with its files, checked and ready to be stored."""

    old: OldTask
    request_uuid: uuid.UUID
    owner: Owner
    status: Literal["SUCCESS", "INVALID_INPUT", "FAILED", "CANCELLED"]
    failure: str | None
    photo: File
    model: File | None
    output_bucket: str
    notes: tuple[Note, ...]

    @property
    def files(self) -> tuple[File, ...]:
        return (self.photo,) if self.model is None else (self.photo, self.model)


def holder_of(conn: Connection[DictRow], api_key_id: int) -> NewOwner:
    """Who owns what is given to an API key. Raises ApiKeyUnknown."""
    row = conn.execute("SELECT user_id FROM api_keys WHERE id = %s AND revoked_at IS NULL", (api_key_id,)).fetchone()
    if row is None:
        raise ApiKeyUnknown(f"There is no API key {api_key_id} in use. `facet apikey list` shows them.")
    return NewOwner(row["user_id"], api_key_id)


def present(conn: Connection[DictRow], olds: Sequence[OldTask]) -> set[int]:
    """The old ids of those that need nothing more: taken over before, or a task here."""
    keys = {old.id: key for old in olds if (key := _uuid(old)) is not None}
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


def prepare(
    old: OldTask, owner: Owner, *, storage: Storage, images_bucket: str, models_bucket: str
) -> Prepared | Outcome:
    """Fetch and check the files. Without its photo only a task that has a model is worth keeping."""
    request_uuid = _uuid(old)
    if request_uuid is None:
        return legacy.skipped("UUID_INVALID", "its request_uuid is none")
    if old.status not in OPEN | {"SUCCESS", "FAILED", "INVALID_INPUT", "CANCELLED"}:
        return legacy.skipped("STATUS_UNKNOWN", "its status is none that we know")
    notes: list[Note] = []
    model = _model(old, storage) if old.status in OPEN | {"SUCCESS"} else None
    photo = _photo(old, storage)
    if isinstance(photo, Note):
        if not isinstance(model, bytes):
            return Outcome("skipped", (photo,))
        notes.append(Note("PHOTO_REPLACED", f"{photo.reason}; a grey picture stands for it"))
        photo = _grey_picture()
    status, failure = _ending(old, model)
    if failure in ("LEGACY_UNFINISHED", "LEGACY_FILE_MISSING", "LEGACY_FILE_INVALID"):
        notes.append(Note(failure, model.reason if isinstance(model, Note) else FAILURES[failure]))
    if status == "SUCCESS" and old.skin_color and _colour(old) is None:
        notes.append(Note("SKIN_COLOR_LEFT_OUT", "its skin colour is no #rrggbb"))
    return Prepared(
        old,
        request_uuid,
        owner,
        status,
        failure,
        File("photo", images_bucket, photos.object_key(owner), photos.CONTENT_TYPE, photo),
        _model_file(old, request_uuid, models_bucket, model) if isinstance(model, bytes) else None,
        models_bucket,
        tuple(notes),
    )


def announce(conn: Connection[DictRow], task: Prepared) -> None:
    """Note the files before they are there: if this run dies, they are deleted; `store` takes the note back."""
    for file in task.files:
        deletions.add(conn, bucket=file.bucket, object_key=file.object_key, due_in=ABANDONED_AFTER)


def store(conn: Connection[DictRow], task: Prepared, *, objects: Objects) -> Outcome:
    """Put the files and make the task. Raises AlreadyClaimed when another run has just done so.

    The notes go first: until the commit nobody else can carry them out, and without it they are back.
    """
    for file in task.files:
        conn.execute(
            "DELETE FROM object_deletions WHERE bucket = %s AND object_key = %s", (file.bucket, file.object_key)
        )
        objects.put(file.bucket, file.object_key, file.data, content_type=file.content_type)
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
            "skin_color_hex": _colour(old) if task.status == "SUCCESS" else None,
            "failure_code": task.failure,
            "failure_message": FAILURES[task.failure] if task.failure else None,
            "created_at": old.created_at,
            "updated_at": old.updated_at,
        },
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    return int(row["id"])


def _ending(
    old: OldTask, model: bytes | Note | None
) -> tuple[Literal["SUCCESS", "INVALID_INPUT", "FAILED", "CANCELLED"], str | None]:
    """How it ended. In the old system late progress overwrote SUCCESS, so an open task that has a model succeeded."""
    if isinstance(model, bytes):
        return "SUCCESS", None
    if old.status == "CANCELLED":
        return "CANCELLED", None
    if old.status == "INVALID_INPUT":
        return "INVALID_INPUT", "LEGACY_INVALID_INPUT"
    if old.status == "FAILED":
        return "FAILED", "LEGACY_FAILED"
    if old.status in OPEN:
        return "FAILED", "LEGACY_UNFINISHED"
    return "FAILED", model.code if model else "LEGACY_FILE_MISSING"


def _photo(old: OldTask, storage: Storage) -> bytes | Note:
    if old.photo is None:
        return Note("PHOTO_MISSING", "the task names no photo")
    try:
        return photos.accept(storage.read(old.photo, limit=photos.MAX_BYTES))
    except FileMissing as error:
        return Note("PHOTO_MISSING", f"no photo: {error}")
    except Refusal as error:
        return Note("PHOTO_REFUSED", f"the photo cannot be kept: {error}")


def _model(old: OldTask, storage: Storage) -> bytes | Note | None:
    if old.model is None:
        return None
    try:
        data = storage.read(old.model, limit=MAX_MODEL_BYTES)
        glb.check(data)
    except FileMissing as error:
        return Note("LEGACY_FILE_MISSING", f"no model: {error}")
    except glb.NotGlb as error:
        return Note("LEGACY_FILE_INVALID", f"the model is none: {error}")
    return data


def _model_file(old: OldTask, request_uuid: uuid.UUID, bucket: str, data: bytes) -> File:
    """Under its usual name; under another where that may be the old file itself, which is never touched."""
    key = f"{request_uuid}.glb"
    if old.model == (bucket, key):
        key = f"{request_uuid}/model.glb"
    return File("model", bucket, key, MODEL_TYPE, data)


def _grey_picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (256, 256), "#c8c8c8").save(out, "JPEG")
    return out.getvalue()


def _colour(old: OldTask) -> str | None:
    match = COLOUR.fullmatch(old.skin_color.lower())
    return f"#{match[1]}" if match else None


def _uuid(old: OldTask) -> uuid.UUID | None:
    try:
        return uuid.UUID(old.request_uuid)
    except ValueError:
        return None
