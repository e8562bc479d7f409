"""Retries: a new task of the photo of one that ended without an avatar."""

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import tasks, users
from avatars.owners import Owner
from avatars.refusals import Refusal


class TaskNotRetryable(Refusal):
    """Only a task that ended as FAILED, INVALID_INPUT or CANCELLED can be tried again. Wait until an open one has
    ended, or cancel it first; of a photo that has its avatar make a new task."""

    status = 409
    code = "TASK_NOT_RETRYABLE"
    title = "The task cannot be tried again"


def find(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> DictRow:
    """The task to try again. Raises tasks.TaskNotFound or TaskNotRetryable."""
    row = tasks.whole(conn, owner=owner, request_uuid=request_uuid)
    if row["status"] not in ("FAILED", "INVALID_INPUT", "CANCELLED"):
        raise TaskNotRetryable(f"The task is {row['status']}: only FAILED, INVALID_INPUT and CANCELLED are tried again")
    return row


def hold(conn: Connection[DictRow], *, owner: Owner, task: DictRow) -> int:
    """The id of its photo, which stays until the transaction ends.

    Raises UserGone, or tasks.TaskNotFound if the task was deleted meanwhile.
    """
    users.hold(conn, owner)
    row = conn.execute("SELECT photo_id FROM tasks WHERE id = %s FOR KEY SHARE", (task["id"],)).fetchone()
    if row is None:
        raise tasks.TaskNotFound(str(task["request_uuid"]), owner)
    return int(row["photo_id"])
