"""GET /3d-model-generation/tasks/{uuid}/files/{name}, for users and integrations: the way to a photo or an avatar."""

from avatars import api_keys, resource, tasks
from facet import auth, db, objects
from facet.function import Function
from facet.http import Answer

app = Function("get_task_file")


@app.endpoint(
    "GET",
    "/3d-model-generation/tasks/{uuid}/files/{name}",
    status=302,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=(tasks.TaskNotFound, resource.FileNotFound),
    tags=("tasks",),
)
def get_task_file(caller: auth.Caller, uuid: str, name: str) -> Answer:
    """Get a file of a task

    Redirects to a URL that is good for an hour; this path itself lasts as long as the task. `photo.jpg` is the photo as
    it was kept, `model.glb` the avatar.
    """
    with db.transaction() as conn:
        row = tasks.whole(conn, owner=caller, request_uuid=uuid)
    return Answer(None, [("location", resource.url_of(row, name, objects=objects))])
