"""The outbox: announcements committed together with their tasks, and how each is sent."""

import uuid
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import media, states
from avatars.contracts import TASK_TYPE, TaskInput, TaskRequested


class Addresses(Protocol):
    """Where announcements go and where the emotions lie."""

    @property
    def rabbitmq_tasks_queue(self) -> str: ...
    @property
    def minio_deca_emotions_bucket(self) -> str: ...


class Broker(Protocol):
    def publish(
        self,
        *,
        queue: str,
        body: bytes,
        message_id: str,
        correlation_id: str | None = None,
        type: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Return once the broker has confirmed a persistent, routed message; raise otherwise."""


class Objects(Protocol):
    def list_keys(self, bucket: str) -> list[str]: ...

    def presign_get(
        self, bucket: str, key: str, *, expires_in: int, audience: Literal["client", "agent"] = "client"
    ) -> str: ...


def add(conn: Connection[DictRow], *, task_id: int, attempt: int = 1) -> uuid.UUID:
    """Note that an attempt is to be announced; the id returned is its message_id for ever."""
    row = conn.execute(
        "INSERT INTO outbox (task_id, attempt) VALUES (%s, %s) RETURNING id", (task_id, attempt)
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    entry: uuid.UUID = row["id"]
    return entry


def waiting(conn: Connection[DictRow], *, limit: int) -> list[uuid.UUID]:
    """What is not sent yet, oldest first; what failed before comes last, so that it holds up nothing."""
    rows = conn.execute(
        "SELECT id FROM outbox WHERE published_at IS NULL ORDER BY failures, created_at, id LIMIT %s", (limit,)
    ).fetchall()
    return [row["id"] for row in rows]


def send(conn: Connection[DictRow], entry: uuid.UUID, *, to: Addresses, broker: Broker, objects: Objects) -> bool:
    """Publish one announcement and mark it in this transaction; False if there is nothing to send, or not now.

    A crash between the broker's confirm and the commit publishes it again later, with the same message_id: agents
    may get a task twice, and a task is never lost. What is of no use any more is dropped: its task has ended, or a
    later attempt is announced as well.
    """
    row = _take(conn, entry)
    if row is None:
        return False
    if row["is_outdated"]:
        conn.execute("DELETE FROM outbox WHERE id = %s", (entry,))
        return False
    broker.publish(
        queue=to.rabbitmq_tasks_queue,
        body=_message(row, to.minio_deca_emotions_bucket, objects).model_dump_json().encode(),
        message_id=str(entry),
        correlation_id=str(row["request_uuid"]),
        type=TASK_TYPE,
        headers={"x-attempt": row["attempt"], "traceparent": row["traceparent"]},
    )
    conn.execute("UPDATE outbox SET published_at = now(), last_error = NULL WHERE id = %s", (entry,))
    states.mark_published(conn, row["task_id"])
    return True


def record_failure(conn: Connection[DictRow], entry: uuid.UUID, error: str) -> None:
    conn.execute("UPDATE outbox SET failures = failures + 1, last_error = %s WHERE id = %s", (error[:500], entry))


def _take(conn: Connection[DictRow], entry: uuid.UUID) -> DictRow | None:
    """The task is locked with its entry: whoever has it first may be deleting it, and then wants the entry too."""
    return conn.execute(
        """
        SELECT o.attempt, o.task_id, t.request_uuid, t.client_type, t.output_bucket, t.traceparent,
               m.bucket, m.object_key, t.finished_at IS NOT NULL OR o.attempt < t.attempt AS is_outdated
        FROM outbox o JOIN tasks t ON t.id = o.task_id JOIN media_objects m ON m.id = t.photo_id
        WHERE o.id = %s AND o.published_at IS NULL
        FOR UPDATE OF o, t SKIP LOCKED
        """,
        (entry,),
    ).fetchone()


def _message(row: DictRow, emotions_bucket: str, objects: Objects) -> TaskRequested:
    """Built when it is sent, because its URLs age."""

    def url(bucket: str, key: str) -> str:
        return objects.presign_get(bucket, key, expires_in=media.AGENT_URL_SECONDS, audience="agent")

    return TaskRequested(
        request_uuid=row["request_uuid"],
        task_client_type=row["client_type"],
        task_input_metadata=TaskInput(
            input_file_url=url(row["bucket"], row["object_key"]),
            emotions_files_urls=[url(emotions_bucket, key) for key in objects.list_keys(emotions_bucket)],
            output_bucket=row["output_bucket"],
        ),
    )
