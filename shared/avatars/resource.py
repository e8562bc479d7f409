"""The task as clients see it: one document for every route that answers with a task, and its ETag."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol
from urllib.parse import quote, unquote

from psycopg.rows import DictRow
from pydantic import BaseModel, Field

from avatars import media
from avatars.refusals import Refusal

COLLECTION = "/3d-model-generation/tasks"
RETRY_AFTER = "2"  # seconds

FileName = Literal["photo.jpg", "model.glb"]
KINDS: dict[FileName, str] = {"photo.jpg": "photo", "model.glb": "model"}
Status = Literal["INITIAL", "PENDING", "IN_PROGRESS", "SUCCESS", "INVALID_INPUT", "FAILED", "CANCELLED"]


class FileNotFound(Refusal):
    """The task has no such file: its files are `photo.jpg` and, once it is SUCCESS, `model.glb`."""

    status = 404
    code = "FILE_NOT_FOUND"
    title = "The task has no such file"


class Presigner(Protocol):
    def presign_get(
        self,
        bucket: str,
        key: str,
        *,
        expires_in: int,
        filename: str | None = None,
        signed_at: datetime | None = None,
    ) -> str: ...


class Failure(BaseModel):
    """Why a task ended without an avatar."""

    code: str = Field(description="Stable; for programs.", examples=["NO_FACE"])
    message: str | None = Field(description="For people; may be missing.", examples=["no face was found in the photo"])


class TaskFile(BaseModel):
    """A file of a task. `url` is read by anybody who has it until it expires; `link` only by the owner."""

    name: FileName
    content_type: str = Field(examples=["model/gltf-binary"])
    url: str = Field(description="Presigned GET, good until `expires_at`; the same for half an hour, so it caches.")
    link: str = Field(
        description="The file's lasting path on this host: answers with a redirect to a freshly signed URL.",
        examples=["/api/v1/3d-model-generation/tasks/0b7f3c0e-6a4f-4a1e-9f59-3f6cf8f2c3a1/files/model.glb"],
    )
    bytes: int = Field(description="Size.", examples=[482_116])
    sha256: str = Field(
        description="SHA-256 of the content in hex.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    expires_at: datetime = Field(description="Until when `url` works; half an hour away at least.")


class MeshMetadata(BaseModel):
    """What the agent told of the avatar; null where it did not."""

    skin_color_hex: str | None = Field(description="sRGB colour of the skin.", examples=["#ba997a"])
    vertices: int | None = Field(examples=[5023])
    triangles: int | None = Field(examples=[9976])


class Task(BaseModel):
    """All that is known of a task."""

    request_uuid: uuid.UUID = Field(description="Names the task in every path.")
    status: Status = Field(
        description="INITIAL (accepted), PENDING (queued), IN_PROGRESS, then for ever SUCCESS, INVALID_INPUT (the "
        "photo is no good), FAILED or CANCELLED."
    )
    progress: int = Field(ge=0, le=100, description="Per cent; never goes down.")
    stage: str | None = Field(description="What its agent is doing, in a word or two.", examples=["texturing"])
    queue_position: int | None = Field(
        description="1 is the next to be begun, counted over all open tasks; null once it is begun.", examples=[3]
    )
    revision: int = Field(description="Raised by every change of the task.", examples=[4])
    attempt: int = Field(description="How often it was given to agents: more than once when one fell silent.")
    test_mode: bool = Field(description="Whether its end is simulated; no agent sees such a task.")
    created_at: datetime
    started_at: datetime | None = Field(description="When an agent was first heard of.")
    finished_at: datetime | None = Field(description="When it ended, in whatever way.")
    failure: Failure | None = Field(description="With INVALID_INPUT and FAILED only.")
    files: list[TaskFile] = Field(description="The photo as it was kept; after SUCCESS the avatar too.")
    mesh_metadata: MeshMetadata | None = Field(description="After SUCCESS only.")
    options: dict[str, Any] = Field(description="As given when it was made.")
    metadata: dict[str, Any] = Field(description="The client's own words, given back as they came.")
    retry_of: uuid.UUID | None = Field(description="The task whose photo was taken again; it may be deleted by now.")


def base_of(path: str, below: str = COLLECTION) -> str:
    """What stands before `below` in the percent-encoded path of a request: prefix, and /integrations for keys."""
    return quote(unquote(path).rpartition(below)[0])


def task_of(row: DictRow, *, base: str, objects: Presigner, now: datetime) -> Task:
    """The document of a row of `tasks.whole`. Its URLs are the same until the next signing slot."""
    has_model, has_failed = row["model_key"] is not None, row["failure_code"] is not None
    return Task(
        **{name: row[name] for name in Task.model_fields if name in row},
        failure=Failure(code=row["failure_code"], message=row["failure_message"]) if has_failed else None,
        files=list(_files(row, base, objects, now)),
        mesh_metadata=MeshMetadata.model_validate(row, from_attributes=False) if has_model else None,
    )


def etag_of(row: DictRow, now: datetime) -> str:
    """Weak, because equal documents may be spelt differently: what can change is revision, place and signing slot."""
    slot = media.signing_time(row["created_at"], now) - row["created_at"]
    return f'W/"{row["revision"]}-{row["queue_position"] or 0}-{slot // media.SIGNING_SLOT}"'


def retry_after(row: DictRow) -> list[tuple[str, str]]:
    """The header that tells when to ask again; none once there is nothing to wait for."""
    return [("retry-after", RETRY_AFTER)] if row["finished_at"] is None else []


def url_of(row: DictRow, name: str, *, objects: Presigner, signed_at: datetime | None = None) -> str:
    """A presigned URL of a file of a task. Raises FileNotFound."""
    kind = next((kind for known, kind in KINDS.items() if known == name), None)
    if kind is None or row[f"{kind}_key"] is None:
        raise FileNotFound(f"The task with request uuid {row['request_uuid']} has no file {name}")
    return objects.presign_get(
        row[f"{kind}_bucket"],
        row[f"{kind}_key"],
        expires_in=media.CLIENT_URL_SECONDS,
        filename=media.model_filename(row["request_uuid"]) if kind == "model" else None,
        signed_at=signed_at,
    )


def _files(row: DictRow, base: str, objects: Presigner, now: datetime) -> Iterator[TaskFile]:
    signed_at = media.signing_time(row["created_at"], now)
    folder = f"{base}{COLLECTION}/{row['request_uuid']}/files"

    for name, kind in KINDS.items():
        if row[f"{kind}_key"] is None:
            continue
        yield TaskFile(
            name=name,
            content_type=row[f"{kind}_type"],
            url=url_of(row, name, objects=objects, signed_at=signed_at),
            link=f"{folder}/{name}",
            bytes=row[f"{kind}_size"],
            sha256=row[f"{kind}_sha256"].hex(),
            expires_at=_whole_second(signed_at) + timedelta(seconds=media.CLIENT_URL_SECONDS),
        )


def _whole_second(moment: datetime) -> datetime:
    """A signature knows no fractions."""
    return moment.astimezone(UTC).replace(microsecond=0)
