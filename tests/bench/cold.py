"""What first answers take in an interpreter of their own, imports and a connection to the database included."""

import json
import time
from collections.abc import Iterator, Mapping

import httpx

from local.cloud.control import Client
from local.events import HttpRequest, event_for
from tests.stacks import Stack

TASKS = "/3d-model-generation/tasks"
TIMES = 10


def starts(stack: Stack, token: str, photo: bytes) -> Iterator[tuple[str, list[float]]]:
    """Seconds by function: the first two read, the others sign URLs, write, or decode a photo beside."""
    form = httpx.Request("POST", "http://none/", files={"task_source_file": ("me.png", photo, "image/png")})
    form_type = {"content-type": form.headers["content-type"]}
    task = httpx.post(f"{stack.api}{TASKS}", headers={**form_type, "access-token": token}, content=form.read())
    path, json_type = f"{TASKS}/{task.raise_for_status().json()['request_uuid']}", {"content-type": "application/json"}
    upload = json.dumps({"content_type": "image/jpeg", "size": 1000}).encode()
    asked: list[tuple[str, str, str, Mapping[str, str], bytes]] = [
        ("get_task_status", "GET", f"{path}/status", {}, b""),
        ("list_api_keys", "GET", "/api-keys", {}, b""),
        ("get_task", "GET", path, {}, b""),
        ("list_tasks", "GET", TASKS, {}, b""),
        ("get_profile_info", "GET", "/user-info/profile-info", {}, b""),
        ("create_upload", "POST", "/uploads", json_type, upload),
        ("create_task", "POST", TASKS, form_type, form.read()),
    ]
    client = Client(stack.state / "run")
    for name, method, where, headers, body in asked:
        given = (("access-token", token), ("host", "none"), *headers.items())
        event = event_for("furl", HttpRequest(method, f"/api/v1{where}", headers=given, body=body))
        yield name, [_first_answer(client, name, event) for _ in range(TIMES)]


def _first_answer(client: Client, name: str, event: Mapping[str, object]) -> float:
    begun = time.perf_counter()
    answer = client.call("invoke", name=name, event=event, fresh=True, debug_port=None, timeout=None)
    seconds = time.perf_counter() - begun
    assert json.loads(answer["payload"])["statusCode"] in (200, 201), answer
    return seconds
