"""GET /3d-model-generation/tasks/{uuid}/result, for users and integrations."""

from pydantic import BaseModel, Field

from avatars import api_keys, media, tasks
from facet import auth, db, objects
from facet.function import Function

app = Function("get_task_result")


class MeshMetadata(BaseModel):
    skin_color_hex: str = Field(examples=["#ba997a"])


class TaskResult(BaseModel):
    result_file_path: str = Field(description="Presigned URL of the model (GLB); one hour.")
    mesh_metadata: MeshMetadata | None


@app.endpoint(
    "GET",
    "/3d-model-generation/tasks/{uuid}/result",
    returns=TaskResult,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=(tasks.ResultNotFound,),
    kept=True,
    tags=("tasks",),
)
def get_task_result(caller: auth.Caller, uuid: str) -> TaskResult:
    """The avatar of a task"""
    with db.transaction() as conn:
        model = tasks.result_of(conn, owner=caller, request_uuid=uuid)
    color = model["skin_color_hex"]
    return TaskResult(
        result_file_path=objects.presign_get(
            model["bucket"],
            model["object_key"],
            expires_in=media.CLIENT_URL_SECONDS,
            filename=media.model_filename(uuid),
        ),
        mesh_metadata=MeshMetadata(skin_color_hex=color) if color else None,
    )
