"""Tasks their owners want no more: cancelled, or deleted with all that belongs to them."""

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import removal, states, tasks
from avatars.owners import Owner


def cancel(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> None:
    """End an open task; nothing if it is cancelled already. Raises TaskNotFound or states.TaskFinished.

    Whose a task is never changes, so it is asked before the row is locked.
    """
    row = tasks.whole(conn, owner=owner, request_uuid=request_uuid)
    task = states.lock(conn, row["request_uuid"])
    if task is None:
        raise tasks.TaskNotFound(request_uuid, owner)
    if task.status == "CANCELLED":
        return
    if task.is_finished:
        raise states.TaskFinished(f"The task has ended as {task.status}")
    states.cancel(conn, task)
    removal.expect_late_model(conn, task)


def delete(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> None:
    """Remove a task in whatever state. Raises TaskNotFound, also to the slower one of two at once."""
    row = tasks.whole(conn, owner=owner, request_uuid=request_uuid)
    if not removal.remove(conn, [row["id"]]):
        raise tasks.TaskNotFound(request_uuid, owner)
