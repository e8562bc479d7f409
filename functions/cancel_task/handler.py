"""POST /3d-model-generation/tasks/{uuid}/cancel, for users and integrations."""

from datetime import UTC, datetime

from avatars import api_keys, resource, states, tasks, withdrawal
from facet import auth, db, objects
from facet.function import Function
from facet.http import Request

app = Function("cancel_task")


@app.endpoint(
    "POST",
    "/3d-model-generation/tasks/{uuid}/cancel",
    returns=resource.Task,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=(tasks.TaskNotFound, states.TaskFinished),
    tags=("tasks",),
)
def cancel_task(caller: auth.Caller, uuid: str, request: Request) -> resource.Task:
    """Cancel a task

    It ends as CANCELLED, whatever its agent does from now on. Cancelling twice is answered like once.
    """
    with db.transaction() as conn:
        withdrawal.cancel(conn, owner=caller, request_uuid=uuid)
        row = tasks.whole(conn, owner=caller, request_uuid=uuid)
    return resource.task_of(row, base=resource.base_of(request.path), objects=objects, now=datetime.now(UTC))
