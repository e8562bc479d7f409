"""GET /3d-model-generation/tasks/{uuid}/status, for users and integrations."""

from typing import Literal

from pydantic import BaseModel, Field

from avatars import api_keys, resource, tasks
from facet import auth, db
from facet.function import Function
from facet.http import Answer

app = Function("get_task_status")


class TaskStatus(BaseModel):
    status: Literal["INITIAL", "PENDING", "IN_PROGRESS", "SUCCESS", "INVALID_INPUT", "FAILED"] = Field(
        description="A cancelled task counts as FAILED here."
    )


@app.endpoint(
    "GET",
    "/3d-model-generation/tasks/{uuid}/status",
    returns=TaskStatus,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=(tasks.TaskNotFound,),
    sends=("Retry-After",),
    kept=True,
    tags=("tasks",),
)
def get_task_status(caller: auth.Caller, uuid: str) -> Answer:
    """How far a task is"""
    with db.transaction() as conn:
        row = tasks.state_of(conn, owner=caller, request_uuid=uuid)
    status = "FAILED" if row["status"] == "CANCELLED" else row["status"]
    return Answer({"status": status}, resource.retry_after(row))
