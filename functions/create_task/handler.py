"""POST /3d-model-generation/tasks, for users and integrations: accept a photo and queue its avatar."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from avatars import api_keys, idempotency, in_flight, media, photos, pixels, sandbox, submissions, tasks, uploads
from avatars.idempotency import IdempotencyHeaders
from avatars.media import Address
from avatars.metadata import FormMetadata, Metadata
from avatars.refusals import UserGone
from facet import auth, broker, db, limits, log, objects, tracing
from facet.function import Function
from facet.http import Answer, Request, UploadedFile
from facet.settings import settings

app = Function("create_task")


class PhotoForm(BaseModel):
    """For a photo that fits into one request: about 4 MB where functions take events of 6 MB."""

    task_source_file: UploadedFile = Field(description="One face, from the front: JPEG, PNG or WebP, at most 10 MB.")
    metadata: FormMetadata = {}


class TaskOptions(BaseModel):
    """There is no option yet. Unknown ones are refused, so that none is taken for granted before it exists."""

    model_config = ConfigDict(extra="forbid")


class TaskRequest(BaseModel):
    """For a photo that was put where `POST /uploads` said."""

    model_config = ConfigDict(extra="forbid")

    upload_id: uuid.UUID = Field(description="What `POST /uploads` answered. One upload makes one task.")
    options: TaskOptions = Field(default=TaskOptions(), description="No option exists yet.")
    metadata: Metadata = {}


class TaskHeaders(IdempotencyHeaders):
    traceparent: str | None = Field(
        default=None, description="W3C Trace Context; goes along with the task to its agent."
    )


class TaskAccepted(BaseModel):
    request_uuid: uuid.UUID = Field(description="Names the task from now on.")
    source_file_path: str = Field(
        description="Presigned URL of the photo as it was kept; good for half an hour to one."
    )


CREATES = limits.per_owner("create", "limit_creates_per_owner", by_view=True)  # a repeat makes nothing and is free
REFUSALS = (
    photos.NotAnImage, photos.BodyTooLarge, photos.ImageTooLarge, photos.ImageTooSmall, UserGone, tasks.TaskNotFound,
    uploads.UploadNotFound, uploads.UploadUsed, uploads.UploadIncomplete, uploads.UploadMismatch,
    sandbox.OutcomeUnknown, in_flight.TooManyInFlight, idempotency.KeyReused, idempotency.KeyInFlight,
)  # fmt: skip


@app.endpoint(
    "POST",
    "/3d-model-generation/tasks",
    form=PhotoForm,
    body=TaskRequest,
    headers=TaskHeaders,
    returns=TaskAccepted,
    status=201,
    caller=auth.USER,
    integrations=api_keys.verify,
    limits=(CREATES,),
    sends=("Location",),
    raises=REFUSALS,
    kept=True,
    tags=("tasks",),
)
def create_task(
    caller: auth.Caller, headers: TaskHeaders, request: Request, form: PhotoForm | None, body: TaskRequest | None
) -> Answer:
    """Make an avatar of a photo

    The photo comes in a form, or was uploaded before and is named in JSON. It is decoded and kept as a JPEG without
    what the camera wrote into it; then the task waits for an agent. `Location` is the task.
    """
    asked, key = _asked(form, body), headers.idempotency_key
    fingerprint = idempotency.fingerprint(asked)
    with db.transaction() as conn:
        ticket = idempotency.begin(conn, owner=caller, operation="create_task", key=key, fingerprint=fingerprint)
        if ticket.made is not None:
            row = tasks.whole(conn, owner=caller, request_uuid=str(ticket.made))
            photo_at = Address(row["photo_bucket"], row["photo_key"])
            return _answer(request, ticket.made, photo_at, row["created_at"], replayed=True)
        limited = CREATES.count(conn, request, {"caller": caller})
        submission = submissions.begin(
            conn, owner=caller, ticket=ticket, options=asked["options"], metadata=asked["metadata"], at=settings()
        )
        upload = uploads.take(conn, owner=caller, upload_id=body.upload_id) if body else None
    with idempotency.given_up_on_failure(db.transaction, ticket, unavailable=db.Unavailable):
        photo = pixels.as_jpeg(asked["photo"] if upload is None else uploads.read(objects, upload))
        submissions.store(submission, objects, photo=photo)
        with db.transaction() as conn:
            photo_id = media.claim(
                conn, kind="photo", **submission.photo._asdict(), content_type=photos.CONTENT_TYPE, data=photo
            )
            traceparent = tracing.current() or headers.traceparent
            made = submissions.make(conn, submission, photo_id=photo_id, traceparent=traceparent)
            if upload is not None:
                uploads.mark_used(conn, uploads.take(conn, owner=caller, upload_id=upload["id"])["id"])
    submissions.announce(made, db.transaction, to=settings(), broker=broker, objects=objects, log=log.get())
    answer = _answer(request, made.task.request_uuid, submission.photo, made.task.created_at, replayed=False)
    return replace(answer, headers=answer.headers + limited)


def _asked(form: PhotoForm | None, body: TaskRequest | None) -> dict[str, Any]:
    """The same for both content types; sent again, a form may be delimited differently and mean the same."""
    if form is not None:
        return {"photo": form.task_source_file.data, "metadata": form.metadata, "options": {}}
    assert body is not None  # one of the two
    return body.model_dump()


def _answer(request: Request, task: uuid.UUID, photo: Address, created_at: datetime, *, replayed: bool) -> Answer:
    """Equal whenever it is given, while the URL in it is."""
    signed_at = media.signing_time(created_at, datetime.now(UTC))
    url = objects.presign_get(*photo, expires_in=media.CLIENT_URL_SECONDS, signed_at=signed_at)
    accepted = TaskAccepted(request_uuid=task, source_file_path=url)
    return Answer(accepted, submissions.headers(request.path, task, replayed=replayed))
