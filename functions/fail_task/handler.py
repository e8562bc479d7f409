"""Invoked directly (`facet task fail`): end an open task as FAILED."""

import uuid

from pydantic import BaseModel, ConfigDict, Field

from avatars import contracts, reaping
from facet import db
from facet.function import Function

app = Function("fail_task")


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    request_uuid: uuid.UUID
    code: str = Field(default=contracts.DEFAULT_FAILURE, pattern=rf"^{contracts.FAILURE_CODE.pattern}$")
    message: contracts.Text | None = None


class Failed(BaseModel):
    request_uuid: uuid.UUID
    code: str


@app.internal(body=Verdict, returns=Failed)
def fail_task(body: Verdict) -> Failed:
    with db.transaction() as conn:
        reaping.fail(conn, body.request_uuid, code=body.code, message=body.message)
    return Failed(request_uuid=body.request_uuid, code=body.code)
