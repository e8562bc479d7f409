"""The messages to the backend, member by member."""

import hashlib

from local.agent import reports
from local.agent.avatar import Avatar
from local.agent.task import Task

UUID = "0b6c3c5e-6f0f-4a55-9c6a-3f0c3a1f4c11"
TASK = Task(UUID, "http://example.org/photo", "3d-files")


def test_progress() -> None:
    expected = {"request_uuid": UUID, "status": "IN_PROGRESS", "progress": 40, "stage": "fitting"}
    assert reports.progress(TASK, 40, "fitting") == expected


def test_a_result() -> None:
    assert reports.result(TASK, Avatar(b"glTF...", "#ba997a", vertices=972, triangles=1870)) == {
        "request_uuid": UUID,
        "minio_metadata": {"bucket": "3d-files", "file_name": f"{UUID}.glb"},
        "mesh_metadata": {"skin_color_hex": "#ba997a"},
        "vertices": 972,
        "triangles": 1870,
        "sha256": hashlib.sha256(b"glTF...").hexdigest(),
        "size": 7,
    }


def test_a_photo_without_a_face() -> None:
    assert reports.invalid_input(TASK, "NO_FACE", "no face was found in the photo") == {
        "request_uuid": UUID,
        "status": "INVALID_INPUT",
        "error": {"code": "NO_FACE", "message": "no face was found in the photo"},
    }


def test_a_failure_of_the_agent() -> None:
    assert reports.failed(TASK, "out of luck") == {
        "request_uuid": UUID,
        "status": "FAILED",
        "error": {"code": "AGENT_ERROR", "message": "out of luck"},
    }
