"""Invoked directly (`facet task requeue`): give an open task to agents again, with a fresh message."""

import uuid

from pydantic import BaseModel, ConfigDict

from avatars import reaping
from facet import db
from facet.function import Function

app = Function("requeue_task")


class TaskName(BaseModel):
    model_config = ConfigDict(extra="forbid")

    request_uuid: uuid.UUID


class Requeued(BaseModel):
    """`number` is the attempt that relay_outbox announces within a minute."""

    request_uuid: uuid.UUID
    number: int


@app.internal(body=TaskName, returns=Requeued)
def requeue_task(body: TaskName) -> reaping.Attempt:
    with db.transaction() as conn:
        return reaping.requeue(conn, body.request_uuid)
