"""Tasks their owners want no more: cancelled, or deleted with all that belongs to them."""

import uuid
from collections.abc import Collection
from datetime import timedelta

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, media, states, tasks
from avatars.owners import Owner
from avatars.refusals import Refusal

LATE = timedelta(seconds=media.AGENT_URL_SECONDS) + timedelta(hours=1)  # until then an agent may still write a model


class TaskFinished(Refusal):
    """The task has ended already, and how it ended never changes. Read it to see how; DELETE removes it."""

    status = 409
    code = "TASK_FINISHED"
    title = "The task has ended already"


def cancel(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> None:
    """End an open task; nothing if it is cancelled already. Raises TaskNotFound or TaskFinished."""
    task = states.lock(conn, _visible(conn, owner, request_uuid))
    if task is None:
        raise tasks.TaskNotFound(request_uuid, owner)
    if task.status == "CANCELLED":
        return
    if task.is_finished:
        raise TaskFinished(f"The task has ended as {task.status}")
    states.cancel(conn, task)
    _expect_late_model(conn, task.output_bucket, task.request_uuid)


def delete(conn: Connection[DictRow], *, owner: Owner, request_uuid: str) -> None:
    """Remove a task in whatever state. Raises TaskNotFound, also to the slower one of two at once."""
    if not remove(conn, [_visible(conn, owner, request_uuid)]):
        raise tasks.TaskNotFound(request_uuid, owner)


def remove(conn: Connection[DictRow], request_uuids: Collection[uuid.UUID]) -> int:
    """Delete tasks with their announcements, models, and the photos no other task has; how many there were.

    Their objects follow by triggers. Locks are taken in one order: tasks, then photos, each by id. A photo is locked
    before it is asked who else has it, or a retry could take it in between.
    """
    gone = conn.execute(
        """
        SELECT id, request_uuid, output_bucket, photo_id, model_id,
               finished_at IS NULL OR finished_at > now() - %s AS is_recent
        FROM tasks WHERE request_uuid = ANY(%s) ORDER BY id FOR UPDATE
        """,
        (LATE, list(request_uuids)),
    ).fetchall()
    for row in gone:
        if row["is_recent"]:
            _remember(conn, row)
    photos = [row["photo_id"] for row in gone]
    models = [row["model_id"] for row in gone if row["model_id"] is not None]
    conn.execute("SELECT FROM media_objects WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (photos,))
    conn.execute("DELETE FROM tasks WHERE id = ANY(%s)", ([row["id"] for row in gone],))
    conn.execute(
        """
        DELETE FROM media_objects m WHERE m.id = ANY(%(models)s)
            OR (m.id = ANY(%(photos)s) AND NOT EXISTS (SELECT FROM tasks WHERE photo_id = m.id))
        """,
        {"models": models, "photos": photos},
    )
    return len(gone)


def _visible(conn: Connection[DictRow], owner: Owner, request_uuid: str) -> uuid.UUID:
    """Whose a task is never changes, so it may be asked before the row is locked. Raises TaskNotFound."""
    found: uuid.UUID = tasks.whole(conn, owner=owner, request_uuid=request_uuid)["request_uuid"]
    return found


def _remember(conn: Connection[DictRow], row: DictRow) -> None:
    """An agent may still report: then it is known that this is no error, and that its model is to be deleted."""
    conn.execute(
        "INSERT INTO erased_tasks (request_uuid, output_bucket) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (row["request_uuid"], row["output_bucket"]),
    )
    if row["model_id"] is None:
        _expect_late_model(conn, row["output_bucket"], row["request_uuid"])


def _expect_late_model(conn: Connection[DictRow], bucket: str, request_uuid: uuid.UUID) -> None:
    deletions.add(conn, bucket=bucket, object_key=f"{request_uuid}.glb", due_in=LATE)
