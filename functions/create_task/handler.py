"""POST /3d-model-generation/tasks, for users and integrations: accept a photo and queue its avatar."""

import uuid

from pydantic import BaseModel, Field

from avatars import api_keys, media, outbox, photos, tasks
from avatars.refusals import UserGone
from facet import auth, broker, db, log, objects
from facet.function import Function
from facet.http import UploadedFile
from facet.settings import settings

app = Function("create_task")


class PhotoForm(BaseModel):
    task_source_file: UploadedFile = Field(description="One face, from the front: JPEG, PNG or WebP, at most 10 MB.")


class TraceHeaders(BaseModel):
    traceparent: str | None = Field(
        default=None, description="W3C Trace Context; goes along with the task to its agent."
    )


class TaskAccepted(BaseModel):
    request_uuid: uuid.UUID = Field(description="Names the task from now on.")
    source_file_path: str = Field(description="Presigned URL of the photo as it was kept; one hour.")


REFUSALS = (photos.NotAnImage, photos.BodyTooLarge, photos.ImageTooLarge, photos.ImageTooSmall, UserGone)


@app.endpoint(
    "POST",
    "/3d-model-generation/tasks",
    form=PhotoForm,
    headers=TraceHeaders,
    returns=TaskAccepted,
    status=201,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=REFUSALS,
    kept=True,
    tags=("tasks",),
)
def create_task(caller: auth.Caller, form: PhotoForm, headers: TraceHeaders) -> TaskAccepted:
    """Make an avatar of a photo"""
    photo = photos.accept(form.task_source_file.data)
    bucket, key = settings().minio_images_bucket, photos.object_key(caller)
    with db.transaction() as conn:
        photo_id = media.claim(
            conn, kind="photo", bucket=bucket, object_key=key, content_type=photos.CONTENT_TYPE, data=photo
        )
        task = tasks.create(
            conn,
            owner=caller,
            photo_id=photo_id,
            output_bucket=settings().minio_3d_files_bucket,
            traceparent=headers.traceparent,
        )
        entry = outbox.add(conn, task_id=task.id)
        objects.put(bucket, key, photo, content_type=photos.CONTENT_TYPE)  # last: a refused task leaves no photo
    announce(entry)
    return TaskAccepted(
        request_uuid=task.request_uuid,
        source_file_path=objects.presign_get(bucket, key, expires_in=media.CLIENT_URL_SECONDS),
    )


def announce(entry: uuid.UUID) -> None:
    """Try at once; the task is accepted whatever happens here, and relay_outbox sends what is left."""
    try:
        with db.transaction() as conn:
            outbox.send(conn, entry, to=settings(), broker=broker, objects=objects)
    except Exception as error:
        log.get().warning("left to relay_outbox", extra={"entry": str(entry), "cause": repr(error)})
