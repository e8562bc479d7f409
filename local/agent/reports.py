"""The messages the agent answers with, as the backend's contract has them."""

from typing import Any, TypeAlias

from local.agent.avatar import Avatar
from local.agent.task import Task

Report: TypeAlias = dict[str, Any]


def progress(task: Task, percent: int, stage: str) -> Report:
    return {"request_uuid": task.request_uuid, "status": "IN_PROGRESS", "progress": percent, "stage": stage}


def result(task: Task, avatar: Avatar) -> Report:
    return {
        "request_uuid": task.request_uuid,
        "minio_metadata": {"bucket": task.output_bucket, "file_name": task.file_name},
        "mesh_metadata": {"skin_color_hex": avatar.skin_color_hex},
        "vertices": avatar.vertices,
        "triangles": avatar.triangles,
        "sha256": avatar.sha256,
        "size": len(avatar.glb),
    }


def invalid_input(task: Task, code: str, message: str) -> Report:
    return _ended(task, "INVALID_INPUT", code, message)


def failed(task: Task, message: str) -> Report:
    return _ended(task, "FAILED", "AGENT_ERROR", message)


def _ended(task: Task, status: str, code: str, message: str) -> Report:
    return {"request_uuid": task.request_uuid, "status": status, "error": {"code": code, "message": message}}
