"""The state machine of a task: each change one guarded UPDATE, so that repeats and late comers change nothing.

INITIAL → PENDING → IN_PROGRESS → SUCCESS | INVALID_INPUT | FAILED | CANCELLED
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Connection
from psycopg.rows import DictRow

from avatars.refusals import Refusal


class TaskFinished(Refusal):
    """The task has ended already, and how it ended never changes. Read it to see how; DELETE removes it."""

    status = 409
    code = "TASK_FINISHED"
    title = "The task has ended already"


@dataclass(frozen=True)
class LockedTask:
    """A task whose row nobody else can change until the transaction ends."""

    id: int
    request_uuid: uuid.UUID
    status: str
    progress: int
    stage: str | None
    output_bucket: str
    announced_at: datetime
    attempt: int
    test_mode: bool
    is_finished: bool


def lock(conn: Connection[DictRow], request_uuid: uuid.UUID) -> LockedTask | None:
    """Take the row for this transaction. Until the first confirm is written down, its creation stands for it."""
    row = conn.execute(
        """
        SELECT t.id, t.request_uuid, t.status, t.progress, t.stage, t.output_bucket, t.attempt, t.test_mode,
               t.finished_at IS NOT NULL AS is_finished,
               coalesce((SELECT min(o.published_at) FROM outbox o WHERE o.task_id = t.id), t.created_at) AS announced_at
        FROM tasks t WHERE t.request_uuid = %s FOR UPDATE OF t
        """,
        (request_uuid,),
    ).fetchone()
    return None if row is None else LockedTask(**row)


def mark_published(conn: Connection[DictRow], task_id: int) -> None:
    """The broker has it. A task an agent has answered already stays where it is."""
    conn.execute(
        """
        UPDATE tasks SET
            published_at = now(),
            status = CASE status WHEN 'INITIAL' THEN 'PENDING' ELSE status END,
            revision = CASE status WHEN 'INITIAL' THEN revision + 1 ELSE revision END
        WHERE id = %s
        """,
        (task_id,),
    )


def advance(conn: Connection[DictRow], task: LockedTask, *, progress: int | None, stage: str | None) -> None:
    """An agent works on it. A lower progress than before came late: neither it nor its stage counts."""
    if progress is None:
        progress = task.progress
    if stage is None or progress < task.progress:
        stage = task.stage
    progress = max(progress, task.progress)
    is_news = (task.status, task.progress, task.stage) != ("IN_PROGRESS", progress, stage)
    conn.execute(
        """
        UPDATE tasks SET
            status = 'IN_PROGRESS', progress = %(progress)s, stage = %(stage)s,
            started_at = coalesce(started_at, now()), last_message_at = now(), revision = revision + %(is_news)s::int
        WHERE id = %(id)s AND status IN ('INITIAL', 'PENDING', 'IN_PROGRESS')
        """,
        {"id": task.id, "progress": progress, "stage": stage, "is_news": is_news},
    )


def succeed(
    conn: Connection[DictRow],
    task: LockedTask,
    *,
    model_id: int,
    skin_color_hex: str | None,
    vertices: int | None,
    triangles: int | None,
) -> None:
    conn.execute(
        """
        UPDATE tasks SET
            status = 'SUCCESS', progress = 100, stage = NULL, model_id = %(model_id)s,
            skin_color_hex = %(skin_color_hex)s, vertices = %(vertices)s, triangles = %(triangles)s,
            last_message_at = now(), finished_at = now(), revision = revision + 1
        WHERE id = %(id)s AND status IN ('INITIAL', 'PENDING', 'IN_PROGRESS')
        """,
        {
            "id": task.id,
            "model_id": model_id,
            "skin_color_hex": skin_color_hex,
            "vertices": vertices,
            "triangles": triangles,
        },
    )


def fail(
    conn: Connection[DictRow],
    task: LockedTask,
    *,
    status: Literal["INVALID_INPUT", "FAILED"],
    code: str,
    message: str | None,
    by_agent: bool = True,
) -> None:
    conn.execute(
        """
        UPDATE tasks SET
            status = %(status)s, failure_code = %(code)s, failure_message = %(message)s,
            last_message_at = CASE WHEN %(by_agent)s THEN now() ELSE last_message_at END,
            finished_at = now(), revision = revision + 1
        WHERE id = %(id)s AND status IN ('INITIAL', 'PENDING', 'IN_PROGRESS')
        """,
        {"id": task.id, "status": status, "code": code, "message": message, "by_agent": by_agent},
    )


def cancel(conn: Connection[DictRow], task: LockedTask) -> None:
    """The owner wants it no more."""
    conn.execute(
        """
        UPDATE tasks SET status = 'CANCELLED', finished_at = now(), revision = revision + 1
        WHERE id = %(id)s AND status IN ('INITIAL', 'PENDING', 'IN_PROGRESS')
        """,
        {"id": task.id},
    )
