"""What agents report, applied to tasks. Every message is untrusted: it may be late, twice, wrong or forged."""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, glb, media, states
from avatars.contracts import DEFAULT_FAILURE, Rejected, Report, ResultFile, TaskProgress, TaskResult
from avatars.idempotency import Transaction
from avatars.states import LockedTask

MAX_MODEL_BYTES = 64 * 1024 * 1024
CLOCK_SLACK = timedelta(seconds=5)  # S3 tells times in whole seconds, by a clock of its own
REFUSED_FILE_STAYS = timedelta(days=1)  # it may still be on its way, and somebody may want to know what was in it
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


@dataclass(frozen=True)
class Unusable:
    """Why the announced model is none, as the task will say."""

    code: str
    message: str


def settle(transaction: Transaction, report: Report, *, objects: Objects) -> None:
    """Change the task as its agent says; nothing if it has ended or was deleted. Raises Rejected for the dead letters.

    A model is read with no transaction open: its owner may cancel or delete the task meanwhile. Of two handlers with
    the same message one waits for the other's lock and then finds nothing to do.
    """
    if isinstance(report, TaskProgress):
        with transaction() as conn:
            if task := _lock_open(conn, report):
                _progress(conn, task, report)
        return
    with transaction() as conn:
        task = _lock_open(conn, report)
        if task is None:
            return
        _check_name(conn, task, report.minio_metadata)
    model = _read(report, objects, announced_at=task.announced_at)
    with transaction() as conn:
        if task := _lock_open(conn, report):
            _check_name(conn, task, report.minio_metadata)
            _finish(conn, task, report, model)


def _lock_open(conn: Connection[DictRow], report: Report) -> LockedTask | None:
    """The task if the report can still change it; if not, a model that came is discarded. Raises UnknownTask."""
    task = states.lock(conn, report.request_uuid)
    if task is None:
        _discard(conn, report, _bucket_of_erased(conn, report.request_uuid), due_in=timedelta())
        return None
    if task.test_mode:
        raise UnknownTask(f"the task {report.request_uuid} is in test mode, so no agent has it")
    if task.is_finished:
        _discard(conn, report, task.output_bucket, due_in=timedelta())
        return None
    return task


def _bucket_of_erased(conn: Connection[DictRow], request_uuid: uuid.UUID) -> str:
    row = conn.execute("SELECT output_bucket FROM erased_tasks WHERE request_uuid = %s", (request_uuid,)).fetchone()
    if row is None:
        raise UnknownTask(f"there is no task {request_uuid}")
    return str(row["output_bucket"])


def _discard(conn: Connection[DictRow], report: Report, output_bucket: str, *, due_in: timedelta) -> None:
    """Have a model deleted that came too late or was refused. A success reported twice names a file in use.

    A name of the agent's own choosing may be meant for a task that is still open: that one has a day to claim it.
    """
    if not isinstance(report, TaskResult):
        return
    file = report.minio_metadata
    if file.bucket != output_bucket:
        return
    if not _is_own_name(report.request_uuid, file.file_name):
        if _names_another(conn, report.request_uuid, file):
            return
        due_in = REFUSED_FILE_STAYS
    deletions.add(conn, bucket=file.bucket, object_key=file.file_name, due_in=due_in)


def _progress(conn: Connection[DictRow], task: LockedTask, report: TaskProgress) -> None:
    if report.status in ("INVALID_INPUT", "FAILED"):
        code, message = (report.error.code, report.error.message) if report.error else (DEFAULT_FAILURE, None)
        states.fail(conn, task, status=report.status, code=code, message=message)
    elif report.status != "PENDING":
        states.advance(conn, task, progress=report.progress, stage=report.stage)


def _finish(conn: Connection[DictRow], task: LockedTask, result: TaskResult, model: bytes | Unusable) -> None:
    if isinstance(model, Unusable):
        states.fail(conn, task, status="FAILED", code=model.code, message=model.message)
        _discard(conn, result, task.output_bucket, due_in=REFUSED_FILE_STAYS)
        return
    file = result.minio_metadata
    try:
        model_id = media.claim(
            conn, kind="model", bucket=file.bucket, object_key=file.file_name, content_type=media.MODEL_TYPE, data=model
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
    if _names_another(conn, task.request_uuid, file):
        raise ForeignResult("the file is named after another task")


def _names_another(conn: Connection[DictRow], request_uuid: uuid.UUID, file: ResultFile) -> bool:
    others = {uuid.UUID(name) for name in UUID_IN_NAME.findall(file.file_name)} - {request_uuid}
    return bool(others) and _exists_any(conn, others)


def _exists_any(conn: Connection[DictRow], request_uuids: set[uuid.UUID]) -> bool:
    """Whether one of these is a task, or was: the file of a deleted one is about to be deleted too."""
    row = conn.execute(
        """
        SELECT FROM tasks WHERE request_uuid = ANY(%(uuids)s)
        UNION ALL SELECT FROM erased_tasks WHERE request_uuid = ANY(%(uuids)s)
        LIMIT 1
        """,
        {"uuids": list(request_uuids)},
    ).fetchone()
    return row is not None


def _read(result: TaskResult, objects: Objects, *, announced_at: datetime) -> bytes | Unusable:
    """The model's bytes. Raises ForeignResult, and what `objects` raises when the storage is away."""
    file = result.minio_metadata
    try:
        stored = objects.head(file.bucket, file.file_name)
        is_older = stored.last_modified < announced_at - CLOCK_SLACK
        if is_older and not _is_own_name(result.request_uuid, file.file_name):
            raise ForeignResult("the file is older than the task")
        if stored.size > MAX_MODEL_BYTES:
            return Unusable(code="RESULT_INVALID", message=f"{stored.size} bytes are more than {MAX_MODEL_BYTES}")
        data = objects.read(file.bucket, file.file_name, limit=MAX_MODEL_BYTES)
        glb.check(data)
    except objects.NotFound:
        return Unusable(code="RESULT_MISSING", message="the announced model is not there")
    except (glb.NotGlb, objects.Unreadable) as error:
        return Unusable(code="RESULT_INVALID", message=str(error))
    return data


def _is_own_name(request_uuid: uuid.UUID, name: str) -> bool:
    return name == media.model_key(request_uuid) or name.startswith(f"{request_uuid}/")
