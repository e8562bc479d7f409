"""A task as its operator sees it: everything that is stored of it, but no URL and nothing that opens anything."""

import uuid
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import BaseModel

from avatars.tasks import TaskNotFound


class Announcement(BaseModel):
    """An entry of the outbox; unsent ones of a task that has ended are dropped."""

    message_id: uuid.UUID
    attempt: int
    created_at: datetime
    published_at: datetime | None
    failures: int
    last_error: str | None


class StoredObject(BaseModel):
    bucket: str
    object_key: str
    content_type: str
    size: int
    sha256: str


class Inspected(BaseModel):
    request_uuid: uuid.UUID
    task_id: int
    status: str
    progress: int
    stage: str | None
    failure_code: str | None
    failure_message: str | None
    attempt: int
    lost: int
    revision: int
    created_at: datetime
    published_at: datetime | None
    started_at: datetime | None
    last_message_at: datetime | None
    finished_at: datetime | None
    client_type: str
    user_id: int | None
    api_key_id: int | None
    test_mode: bool
    sandbox_outcome: str | None
    sandbox_due_at: datetime | None
    retry_of: uuid.UUID | None
    options: dict[str, Any]
    metadata: dict[str, Any]
    traceparent: str | None
    output_bucket: str
    photo: StoredObject
    model: StoredObject | None
    announcements: list[Announcement]


def inspect(conn: Connection[DictRow], request_uuid: uuid.UUID) -> Inspected:
    """Raises TaskNotFound."""
    task = conn.execute("SELECT t.*, t.id AS task_id FROM tasks t WHERE request_uuid = %s", (request_uuid,)).fetchone()
    if task is None:
        raise TaskNotFound(request_uuid)
    files = conn.execute(
        """
        SELECT id, bucket, object_key, content_type, size, encode(sha256, 'hex') AS sha256
        FROM media_objects WHERE id IN (%s, %s)
        """,
        (task["photo_id"], task["model_id"]),
    ).fetchall()
    announcements = conn.execute(
        """
        SELECT id AS message_id, attempt, created_at, published_at, failures, last_error
        FROM outbox WHERE task_id = %s ORDER BY attempt
        """,
        (task["task_id"],),
    ).fetchall()
    by_id = {file["id"]: file for file in files}
    given = {"photo": by_id[task["photo_id"]], "model": by_id.get(task["model_id"]), "announcements": announcements}
    return Inspected.model_validate({**task, **given})
