"""Uploads: places in storage where an owner may put one photo, of which a task is made once."""

import hashlib
import uuid
from datetime import timedelta
from typing import LiteralString, Protocol

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, owners, photos, users
from avatars.owners import Owner
from avatars.refusals import Refusal

URL_LIFE = timedelta(minutes=10)
GRACE = timedelta(hours=1)  # after the URL: what was put there at the last moment can still become a task
UNUSED_KEPT = GRACE + timedelta(hours=1)  # the object, after the URL: no task that was begun in time misses it


class Objects(Protocol):
    @property
    def NotFound(self) -> type[Exception]: ...
    @property
    def TooLarge(self) -> type[Exception]: ...
    def read(self, bucket: str, key: str, *, limit: int) -> bytes: ...


class UploadNotFound(Refusal):
    """There is no such upload of yours: the id is wrong, it belongs to another caller, or it was not used within an
    hour of its `expires_at`. Begin a new upload and put the photo there."""

    status = 404
    code = "UPLOAD_NOT_FOUND"
    title = "The upload was not found"


class UploadUsed(Refusal):
    """A task was made of this upload already, and one upload makes one task. To make another avatar of the same
    photo, retry that task; for another photo begin a new upload."""

    status = 409
    code = "UPLOAD_USED"
    title = "A task was made of this upload already"


class UploadIncomplete(Refusal):
    """Nothing was put at the `url` of this upload yet. Send the file there, with its `method` and `headers`, and ask
    for the task when that has succeeded."""

    status = 409
    code = "UPLOAD_INCOMPLETE"
    title = "Nothing was put there yet"


class UploadMismatch(Refusal):
    """The file that was put there does not have the `size` or the `sha256` that were announced, so it may be damaged.
    Begin a new upload with the true values."""

    status = 422
    code = "UPLOAD_MISMATCH"
    title = "The file is not the one that was announced"


def create(
    conn: Connection[DictRow], *, owner: Owner, bucket: str, content_type: str, size: int, sha256: bytes | None
) -> DictRow:
    """Reserve a place; its row. Raises photos.BodyTooLarge, or UserGone when the owner has been erased or disabled."""
    if size > photos.MAX_BYTES:
        raise photos.BodyTooLarge
    users.hold(conn, owner)
    upload_id = uuid.uuid4()
    row = conn.execute(
        """
        INSERT INTO uploads (id, user_id, api_key_id, bucket, object_key, content_type, size, sha256,
                             created_at, expires_at)
        VALUES (%(id)s, %(user_id)s, %(api_key_id)s, %(bucket)s, %(object_key)s, %(content_type)s,
                %(size)s, %(sha256)s, date_trunc('second', now()), date_trunc('second', now()) + %(life)s)
        RETURNING *
        """,
        {
            "id": upload_id,
            "user_id": owner.user_id,
            "api_key_id": owner.api_key_id,
            "bucket": bucket,
            "object_key": f"uploads/{owners.folder(owner)}/{upload_id}",
            "content_type": content_type,
            "size": size,
            "sha256": sha256,
            "life": URL_LIFE,
        },
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    deletions.add(conn, bucket=bucket, object_key=row["object_key"], due_in=URL_LIFE + UNUSED_KEPT)
    return row


def find(conn: Connection[DictRow], *, owner: Owner, upload_id: str | uuid.UUID) -> DictRow:
    """The row of an upload, used or not, also when it is too late to use it. Raises UploadNotFound."""
    return _row(conn, owner, upload_id, "")


def take(conn: Connection[DictRow], *, owner: Owner, upload_id: str | uuid.UUID) -> DictRow:
    """Lock an upload until the transaction ends, so that one task is made of it, and return its row.

    Raises UploadNotFound or UploadUsed.
    """
    in_time = "AND (used_at IS NOT NULL OR expires_at > now() - %(grace)s)"
    row = _row(conn, owner, upload_id, f"{in_time} FOR UPDATE")
    if row["used_at"] is not None:
        raise UploadUsed
    return row


def read(objects: Objects, upload: DictRow) -> bytes:
    """What was put there. Raises UploadIncomplete, UploadMismatch or photos.BodyTooLarge."""
    try:
        data = objects.read(upload["bucket"], upload["object_key"], limit=photos.MAX_BYTES)
    except objects.NotFound:
        raise UploadIncomplete from None
    except objects.TooLarge:
        raise photos.BodyTooLarge from None
    check(upload, data)
    return data


def check(upload: DictRow, data: bytes) -> None:
    """Raises UploadMismatch when this is not what was announced."""
    if len(data) != upload["size"]:
        raise UploadMismatch(f"{upload['size']} bytes were announced and {len(data)} put there")
    if upload["sha256"] is not None and hashlib.sha256(data).digest() != upload["sha256"]:
        raise UploadMismatch("The file does not have the SHA-256 that was announced")


def mark_used(conn: Connection[DictRow], upload_id: uuid.UUID) -> None:
    """A task has been made of a copy: nobody needs the object."""
    conn.execute("UPDATE uploads SET used_at = now() WHERE id = %s", (upload_id,))
    _clear(conn, "u.id = %s", upload_id)


def clear_of_user(conn: Connection[DictRow], user_id: int) -> None:
    """The user is about to be erased: what was put there goes now."""
    _clear(conn, "u.user_id = %s", user_id)


def _clear(conn: Connection[DictRow], which: LiteralString, value: object) -> None:
    """Delete objects at once, and again when it was due anyway: until then a late PUT may bring them back."""
    conn.execute(
        f"""
        UPDATE object_deletions d SET due_at = now(), again_at = d.due_at
        FROM uploads u
        WHERE d.bucket = u.bucket AND d.object_key = u.object_key AND d.due_at > now() AND {which}
        """,  # noqa: S608  # no input
        (value,),
    )


def _row(conn: Connection[DictRow], owner: Owner, upload_id: str | uuid.UUID, more: LiteralString) -> DictRow:
    try:
        key = uuid.UUID(str(upload_id))
    except ValueError:
        raise UploadNotFound from None
    row = conn.execute(
        f"SELECT * FROM uploads WHERE id = %(id)s AND {_is_of(owner)} {more}",  # noqa: S608  # LiteralStrings alone
        {"id": key, "grace": GRACE, "user_id": owner.user_id, "api_key_id": owner.api_key_id},
    ).fetchone()
    if row is None:
        raise UploadNotFound
    return row


def _is_of(owner: Owner) -> LiteralString:
    """Users have all that is theirs, a user's keys what any of them began, other keys and nobody their own."""
    if owners.is_web_user(owner):
        return "user_id = %(user_id)s"
    if owner.user_id is not None:
        return "user_id = %(user_id)s AND api_key_id IS NOT NULL"
    return "user_id IS NULL AND api_key_id IS NOT DISTINCT FROM %(api_key_id)s"
