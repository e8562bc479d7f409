"""A task as tests of whole deployments need it: made, reported of, and looked up."""

import json

from facet import objects
from tests.conftest import Settings
from tests.functions import api
from tests.media import model, photo
from tests.servers import postgres


def waiting() -> str:
    """A task that waits for its agent."""
    return str(api.create(api.person().headers, photo()).json()["request_uuid"])


def result(settings: Settings, task: str) -> bytes:
    """What its agent says of its model, which lies in the bucket."""
    bucket = settings["MINIO_3D_FILES_BUCKET"]
    objects.put(bucket, f"{task}.glb", model(), content_type="model/gltf-binary")
    return json.dumps(api.result_message(task, bucket)).encode()


def status(settings: Settings, task: str) -> str:
    with postgres(settings) as conn:
        [(found,)] = conn.execute("SELECT status FROM tasks WHERE request_uuid = %s", (task,)).fetchall()
    return str(found)
