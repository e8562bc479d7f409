"""What agents report, applied to tasks. Every message is untrusted: it may be late, twice, wrong or forged."""

import re
import uuid
from datetime import datetime, timedelta
from typing import Protocol

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import glb, media, states
from avatars.contracts import DEFAULT_FAILURE, Rejected, Report, ResultFile, TaskProgress, TaskResult
from avatars.states import LockedTask

MODEL_TYPE = "model/gltf-binary"
MAX_MODEL_BYTES = 64 * 1024 * 1024
CLOCK_SLACK = timedelta(seconds=5)  # S3 tells times in whole seconds, by a clock of its own
UUID_IN_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class UnknownTask(Rejected):
    code = "UNKNOWN_TASK"


class ForeignResult(Rejected):
    """The file is not this task's to claim. The task itself goes on waiting for its own."""

    code = "FOREIGN_RESULT"


class StoredObject(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def last_modified(self) -> datetime: ...


class Objects(Protocol):
    @property
    def NotFound(self) -> type[Exception]: ...
    @property
    def Unreadable(self) -> type[Exception]: ...
    def head(self, bucket: str, key: str) -> StoredObject: ...
    def read(self, bucket: str, key: str, *, limit: int) -> bytes: ...


def apply(conn: Connection[DictRow], report: Report, *, objects: Objects) -> None:
    """Change the task as its agent says; nothing if it is finished. Raises Rejected for the dead-letter queue.

    The task's row is locked first, so of two handlers with the same message one waits and then finds nothing to do.
    """
    task = states.lock(conn, report.request_uuid)
    if task is None:
        raise UnknownTask(f"there is no task {report.request_uuid}")
    if task.is_finished:
        return
    if isinstance(report, TaskResult):
        _finish(conn, task, report, objects)
    else:
        _progress(conn, task, report)


def _progress(conn: Connection[DictRow], task: LockedTask, report: TaskProgress) -> None:
    if report.status in ("INVALID_INPUT", "FAILED"):
        code, message = (report.error.code, report.error.message) if report.error else (DEFAULT_FAILURE, None)
        states.fail(conn, task, status=report.status, code=code, message=message)
    elif report.status != "PENDING":
        states.advance(conn, task, progress=report.progress, stage=report.stage)


def _finish(conn: Connection[DictRow], task: LockedTask, result: TaskResult, objects: Objects) -> None:
    file = result.minio_metadata
    _check_name(conn, task, file)
    try:
        data = _read(task, file, objects)
    except objects.NotFound:
        states.fail(conn, task, status="FAILED", code="RESULT_MISSING", message="the announced model is not there")
        return
    except (glb.NotGlb, objects.Unreadable) as error:
        states.fail(conn, task, status="FAILED", code="RESULT_INVALID", message=str(error))
        return
    try:
        model_id = media.claim(
            conn, kind="model", bucket=file.bucket, object_key=file.file_name, content_type=MODEL_TYPE, data=data
        )
    except media.AlreadyClaimed:
        raise ForeignResult("another task has claimed this file") from None
    skin_color_hex = result.mesh_metadata.skin_color_hex if result.mesh_metadata else None
    states.succeed(
        conn,
        task,
        model_id=model_id,
        skin_color_hex=skin_color_hex,
        vertices=result.vertices,
        triangles=result.triangles,
    )


def _check_name(conn: Connection[DictRow], task: LockedTask, file: ResultFile) -> None:
    if file.bucket != task.output_bucket:
        raise ForeignResult("the bucket is not the task's output_bucket")
    others = {uuid.UUID(name) for name in UUID_IN_NAME.findall(file.file_name)} - {task.request_uuid}
    if (
        others
        and conn.execute("SELECT FROM tasks WHERE request_uuid = ANY(%s)", (list(others),)).fetchone() is not None
    ):
        raise ForeignResult("the file is named after another task")


def _read(task: LockedTask, file: ResultFile, objects: Objects) -> bytes:
    """The model's bytes. Raises what `objects` raises, NotGlb or ForeignResult."""
    stored = objects.head(file.bucket, file.file_name)
    if not _is_own_name(task, file.file_name) and stored.last_modified < task.announced_at - CLOCK_SLACK:
        raise ForeignResult("the file is older than the task")
    if stored.size > MAX_MODEL_BYTES:
        raise glb.NotGlb(f"{stored.size} bytes are more than {MAX_MODEL_BYTES}")
    data = objects.read(file.bucket, file.file_name, limit=MAX_MODEL_BYTES)
    glb.check(data)
    return data


def _is_own_name(task: LockedTask, name: str) -> bool:
    return name == f"{task.request_uuid}.glb" or name.startswith(f"{task.request_uuid}/")
