"""A task of the old system made ready to be stored here: its files fetched and checked, its ending decided."""

import io
import re
import uuid
from dataclasses import dataclass
from typing import Literal, Protocol

from PIL import Image

from avatars import glb, legacy, media, photos, pixels
from avatars.legacy import Note, Outcome
from avatars.legacy_rows import OldFile, OldTask
from avatars.legacy_source import FileMissing
from avatars.owners import Owner
from avatars.refusals import Refusal
from avatars.results import MAX_MODEL_BYTES

OPEN = frozenset({"INITIAL", "PENDING", "IN_PROGRESS"})
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


def prepare(
    old: OldTask, owner: Owner, *, storage: Storage, images_bucket: str, models_bucket: str
) -> Prepared | Outcome:
    """Fetch and check the files. Without its photo only a task that has a model is worth keeping."""
    request_uuid = uuid_of(old)
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
    if status == "SUCCESS" and old.skin_color and colour_of(old) is None:
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
        return pixels.as_jpeg(storage.read(old.photo, limit=photos.MAX_BYTES))
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
    key = media.model_key(request_uuid)
    if old.model == (bucket, key):
        key = f"{request_uuid}/model.glb"
    return File("model", bucket, key, media.MODEL_TYPE, data)


def _grey_picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (256, 256), "#c8c8c8").save(out, "JPEG")
    return out.getvalue()


def colour_of(old: OldTask) -> str | None:
    match = COLOUR.fullmatch(old.skin_color.lower())
    return f"#{match[1]}" if match else None


def uuid_of(old: OldTask) -> uuid.UUID | None:
    try:
        return uuid.UUID(old.request_uuid)
    except ValueError:
        return None
