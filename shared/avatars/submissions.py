"""Submissions: tasks that are being made, whose files must be put before there can be a row that owns them.

First `begin`, then `store` with no transaction open, then `make`. A crash in between leaves a locked idempotency key
that can be taken over, and objects that are noted for deletion.
"""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, idempotency, in_flight, media, octahedron, outbox, photos, resource, sandbox, tasks
from avatars.idempotency import Ticket, Transaction
from avatars.media import Address
from avatars.owners import Owner
from avatars.sandbox import Outcome
from avatars.tasks import NewTask

PHOTO_GRACE = timedelta(hours=1)  # no submission takes so long
MODEL_GRACE = timedelta(days=1)  # after a task in test mode was due to claim it


class Places(Protocol):
    """Where files lie, and how many tasks an owner may have open."""

    @property
    def minio_images_bucket(self) -> str: ...
    @property
    def minio_3d_files_bucket(self) -> str: ...
    @property
    def limit_tasks_in_flight(self) -> int: ...


class Objects(Protocol):
    def put(self, bucket: str, key: str, body: bytes, *, content_type: str) -> None: ...


@dataclass(frozen=True)
class Submission:
    """A task to be: its name, whose it is, what was asked for and where its files go."""

    request_uuid: uuid.UUID
    owner: Owner
    ticket: Ticket
    options: Mapping[str, Any]
    metadata: Mapping[str, Any]
    outcome: Outcome | None
    photo: Address
    output_bucket: str
    limit: int
    retry_of: uuid.UUID | None

    @property
    def model(self) -> Address | None:
        """Where the model is put that a task in test mode ends with."""
        if self.outcome is None or not self.outcome.has_model:
            return None
        return Address(self.output_bucket, media.model_key(self.request_uuid))


@dataclass(frozen=True)
class Made:
    """A new task and its entry in the outbox; in test mode there is none."""

    task: NewTask
    entry: uuid.UUID | None


def begin(
    conn: Connection[DictRow],
    *,
    owner: Owner,
    ticket: Ticket,
    options: Mapping[str, Any],
    metadata: Mapping[str, Any],
    at: Places,
    retry_of: uuid.UUID | None = None,
) -> Submission:
    """Note what `store` is going to put. Raises UserGone, sandbox.OutcomeUnknown or in_flight.TooManyInFlight."""
    outcome = sandbox.outcome_of(conn, owner=owner, metadata=metadata)
    in_flight.check(conn, owner=owner, test_mode=outcome is not None, limit=at.limit_tasks_in_flight)
    begun = Submission(
        request_uuid=uuid.uuid4(),
        owner=owner,
        ticket=ticket,
        options=options,
        metadata=metadata,
        outcome=outcome,
        photo=Address(at.minio_images_bucket, photos.object_key(owner)),
        output_bucket=at.minio_3d_files_bucket,
        limit=at.limit_tasks_in_flight,
        retry_of=retry_of,
    )
    if retry_of is None:
        deletions.add(conn, **begun.photo._asdict(), due_in=PHOTO_GRACE)
    if outcome is not None and begun.model is not None:
        deletions.add(conn, **begun.model._asdict(), due_in=MODEL_GRACE + (outcome.due_in or timedelta()))
    return begun


def store(submission: Submission, objects: Objects, *, photo: bytes | None) -> None:
    """Put its files; a retry has its photo already."""
    if photo is not None:
        objects.put(*submission.photo, photo, content_type=photos.CONTENT_TYPE)
    if submission.model is not None:
        objects.put(*submission.model, octahedron.glb(), content_type=media.MODEL_TYPE)


def make(conn: Connection[DictRow], submission: Submission, *, photo_id: int, traceparent: str | None) -> Made:
    """The task, its announcement and its idempotency key, together or not at all.

    Raises UserGone, in_flight.TooManyInFlight or idempotency.KeyInFlight.
    """
    task = tasks.create(
        conn,
        owner=submission.owner,
        photo_id=photo_id,
        output_bucket=submission.output_bucket,
        traceparent=traceparent,
        request_uuid=submission.request_uuid,
        options=submission.options,
        metadata=submission.metadata,
        retry_of=submission.retry_of,
        outcome=submission.outcome,
        limit=submission.limit,
    )
    idempotency.complete(conn, submission.ticket, task.request_uuid)
    if submission.outcome is None:
        return Made(task, outbox.add(conn, task_id=task.id))
    sandbox.start(conn, task.request_uuid, submission.outcome)
    return Made(task, None)


def announce(
    made: Made,
    transaction: Transaction,
    *,
    to: outbox.Addresses,
    broker: outbox.Broker,
    objects: outbox.Objects,
    log: logging.Logger,
) -> None:
    """Try at once; the task is accepted whatever happens here, and relay_outbox sends what is left."""
    if made.entry is None:
        return
    try:
        with transaction() as conn:
            outbox.send(conn, made.entry, to=to, broker=broker, objects=objects)
    except Exception as error:
        log.warning("left to relay_outbox", extra={"entry": str(made.entry), "cause": repr(error)})


def headers(path: str, request_uuid: uuid.UUID, *, replayed: bool) -> list[tuple[str, str]]:
    """What the answer to a request for `path` says beside the task: where it is, and whether it was there before."""
    location = ("location", f"{resource.base_of(path)}{resource.COLLECTION}/{request_uuid}")
    return [location, ("idempotent-replayed", "true")] if replayed else [location]
