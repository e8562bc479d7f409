"""Invoked directly (`facet task show`): all that is stored of a task."""

import uuid

from pydantic import BaseModel, ConfigDict

from avatars import inspection
from facet import db
from facet.function import Function

app = Function("show_task")


class TaskName(BaseModel):
    model_config = ConfigDict(extra="forbid")

    request_uuid: uuid.UUID


@app.internal(body=TaskName, returns=inspection.Inspected)
def show_task(body: TaskName) -> inspection.Inspected:
    with db.transaction() as conn:
        return inspection.inspect(conn, body.request_uuid)
