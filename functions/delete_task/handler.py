"""DELETE /3d-model-generation/tasks/{uuid}, for users and integrations."""

from avatars import api_keys, tasks, withdrawal
from facet import auth, db
from facet.function import Function

app = Function("delete_task")


@app.endpoint(
    "DELETE",
    "/3d-model-generation/tasks/{uuid}",
    status=204,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=(tasks.TaskNotFound,),
    tags=("tasks",),
)
def delete_task(caller: auth.Caller, uuid: str) -> None:
    """Delete a task with its photo and its avatar

    Open or finished, at once and for good. A photo that a retry uses too goes with the last of them.
    """
    with db.transaction() as conn:
        withdrawal.delete(conn, owner=caller, request_uuid=uuid)
