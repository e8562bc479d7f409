"""POST /uploads, for users and integrations: a place in storage where the client puts a photo itself."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from psycopg.rows import DictRow
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from avatars import api_keys, idempotency, photos, uploads
from avatars.refusals import UserGone
from facet import auth, db, limits, objects
from facet.function import Function
from facet.http import Answer, Request
from facet.settings import settings

app = Function("create_upload")

BEGINS = limits.per_owner("uploads", "limit_uploads_per_owner", by_view=True)  # a repeat makes nothing and is free

Digest = Annotated[str, StringConstraints(pattern="^[0-9A-Fa-f]{64}$", to_lower=True)]


class UploadRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    content_type: Literal["image/jpeg", "image/png", "image/webp"] = Field(
        description="The type of the file, to be sent along with it.", examples=["image/jpeg"]
    )
    size: Annotated[int, Field(strict=True, ge=1)] = Field(
        description="The length of the file in bytes; at most 10 MB.", examples=[2_483_112]
    )
    sha256: Digest | None = Field(
        default=None,
        description="The SHA-256 of the file in hexadecimal: what arrives damaged is refused then.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )


class Upload(BaseModel):
    upload_id: uuid.UUID = Field(description="Names the upload when a task is made of it.")
    url: str = Field(description="Where to send the file, as the whole body of the request.")
    method: Literal["PUT"] = Field(default="PUT", description="The method to send it with.")
    headers: dict[str, str] = Field(
        description="Send them unchanged; a browser adds `content-length` by itself.",
        examples=[{"content-length": "2483112", "content-type": "image/jpeg"}],
    )
    expires_at: datetime = Field(
        description="Until when the URL works. A task can be made of the upload for another hour.",
        examples=["2026-11-22T18:54:08Z"],
    )


@app.endpoint(
    "POST",
    "/uploads",
    body=UploadRequest,
    headers=idempotency.IdempotencyHeaders,
    returns=Upload,
    status=201,
    caller=auth.USER,
    integrations=api_keys.verify,
    limits=(BEGINS,),
    raises=(photos.BodyTooLarge, UserGone, uploads.UploadNotFound, idempotency.KeyReused, idempotency.KeyInFlight),
    tags=("uploads",),
)
def create_upload(
    caller: auth.Caller, body: UploadRequest, headers: idempotency.IdempotencyHeaders, request: Request
) -> Answer:
    """Begin an upload

    Gives a URL to which the photo is sent directly, within ten minutes. When that has succeeded, make a task of it:
    `POST /3d-model-generation/tasks` with the `upload_id` as JSON.
    """
    asked = idempotency.fingerprint(body.model_dump())
    with db.transaction() as conn:
        ticket = idempotency.begin(
            conn, owner=caller, operation="create_upload", key=headers.idempotency_key, fingerprint=asked
        )
        if ticket.made is not None:
            row = uploads.find(conn, owner=caller, upload_id=ticket.made)
            return Answer(_upload(row), headers=[("idempotent-replayed", "true")])
        limited = BEGINS.count(conn, request, {"caller": caller})
        row = uploads.create(
            conn,
            owner=caller,
            bucket=settings().minio_images_bucket,
            content_type=body.content_type,
            size=body.size,
            sha256=bytes.fromhex(body.sha256) if body.sha256 else None,
        )
        idempotency.complete(conn, ticket, row["id"])
    return Answer(_upload(row), headers=limited)


def _upload(row: DictRow) -> Upload:
    """Signed for when the upload began: however often it is asked for, the answer is the same."""
    put = objects.presign_put(
        row["bucket"],
        row["object_key"],
        content_type=row["content_type"],
        size=row["size"],
        sha256=row["sha256"],
        expires_in=int(uploads.URL_LIFE.total_seconds()),
        signed_at=row["created_at"],
    )
    return Upload(upload_id=row["id"], url=put.url, headers=put.headers, expires_at=row["expires_at"])
