"""Calls functions in this process with the events they get elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from facet import objects
from facet.settings import settings
from local.events import RmqMessage, rmq_event, schedule_event
from local.testing import Local
from tests.contract import fronts

PROJECT = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"
RESULTS_QUEUE = "generation_task_results"
local: Local
"""This project's functions, in this process; conftest.py sets it."""


def begin_process() -> None:
    """Make ready in a new process of a test, whose environment has the settings; all ends with that process."""
    global local
    local = Local(PROJECT / "template.yaml", raises=True).__enter__()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detail(self) -> Any:
        return self.json()["detail"]


@dataclass(frozen=True)
class Person:
    user_id: int
    email: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"access-token": self.access_token}


def invoke(name: str, event: Mapping[str, object]) -> Any:
    """Call a function as the runtime does: the event and the result are JSON. Raises what the function raises."""
    return local.invoke(name, event).json()


def request(name: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any) -> Answer:
    """Send what httpx would (`json=`, `files=`, …) to a function's URL, through the front that was chosen."""
    with fronts.client(fronts.chosen(), local, name) as http:
        response = http.request(method, f"/api/v1{path}", headers=headers, **content)
    return Answer(response.status_code, dict(response.headers), response.content)


def register(email: str, password: str = PASSWORD, name: str = "Ada Lovelace") -> Answer:
    body = {"name": name, "email": email, "password": password}
    return request("register_user", "POST", "/users/registration", json=body)


def sign_in(email: str, password: str = PASSWORD) -> Answer:
    return request("authorize_user", "POST", "/users/authorization", json={"email": email, "password": password})


def refresh(token: str) -> Answer:
    return request("refresh_token", "GET", "/users/refresh-token", headers={"refresh-token": token})


def person(email: str = "ada@example.org") -> Person:
    """Somebody new, signed in."""
    user_id = register(email).json()["user_id"]
    return Person(user_id, email, **sign_in(email).json())


def new_key(**event: object) -> dict[str, str]:
    """The header of a new API key."""
    return {"x-api-key": str(invoke("create_api_key", {"name": "kiosk", **event})["key"])}


def create(
    headers: Mapping[str, str],
    photo: bytes,
    *,
    integrations: bool = False,
    metadata: Mapping[str, object] | str | None = None,
) -> Answer:
    """A photo and, as another field of the form, metadata: text is sent as it is."""
    path = "/integrations/3d-model-generation/tasks" if integrations else "/3d-model-generation/tasks"
    files = {"task_source_file": ("me.jpg", photo, "image/jpeg")}
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    data = {} if metadata is None else {"metadata": text}
    return request("create_task", "POST", path, headers=headers, files=files, data=data)


def create_of_upload(headers: Mapping[str, str], body: Mapping[str, object], *, integrations: bool = False) -> Answer:
    path = "/integrations/3d-model-generation/tasks" if integrations else "/3d-model-generation/tasks"
    return request("create_task", "POST", path, headers=headers, json=dict(body))


def retry(headers: Mapping[str, str], request_uuid: str, *, integrations: bool = False) -> Answer:
    return of_task("retry_task", "POST", headers, request_uuid, "/retry", integrations=integrations)


def begin_upload(headers: Mapping[str, str], body: Mapping[str, object], *, integrations: bool = False) -> Answer:
    path = "/integrations/uploads" if integrations else "/uploads"
    return request("create_upload", "POST", path, headers=headers, json=dict(body))


def read(name: str, headers: Mapping[str, str], request_uuid: str, *, integrations: bool = False) -> Answer:
    """GET a task's `status` or `result`."""
    prefix = "/integrations" if integrations else ""
    path = f"{prefix}/3d-model-generation/tasks/{request_uuid}/{name}"
    return request(f"get_task_{name}", "GET", path, headers=headers)


def of_task(
    name: str,
    method: str,
    headers: Mapping[str, str],
    request_uuid: str,
    rest: str = "",
    *,
    integrations: bool = False,
) -> Answer:
    """Call the function `name` at a task's path, or at `rest` below it."""
    prefix = "/integrations" if integrations else ""
    return request(name, method, f"{prefix}/3d-model-generation/tasks/{request_uuid}{rest}", headers=headers)


def task(headers: Mapping[str, str], request_uuid: str, *, integrations: bool = False) -> Any:
    """The whole task."""
    return of_task("get_task", "GET", headers, request_uuid, integrations=integrations).json()


def status(headers: Mapping[str, str], request_uuid: str) -> str:
    return str(read("status", headers, request_uuid).json()["status"])


def history(headers: Mapping[str, str]) -> list[dict[str, Any]]:
    answer = request("get_generation_history", "GET", "/user-info/generation-history", headers=headers)
    return list(answer.json()["items"])


def consume(*bodies: bytes | Mapping[str, object]) -> None:
    """One batch of the results queue."""
    raw = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    messages = [RmqMessage(body, {"messageId": f"m{number}"}) for number, body in enumerate(raw)]
    invoke("consume_results", rmq_event(RESULTS_QUEUE, "/", messages, broker_arn="arn:aws:mq:test"))


def on_schedule(name: str, **time: int) -> None:
    """What the clock does to `reap_tasks` or `purge_expired`; `time` may be another minute than now."""
    invoke(name, schedule_event(name, datetime.now(UTC).replace(**time)))  # type: ignore[arg-type]  # all are int


def at(name: str, ahead: timedelta) -> None:
    """What `facet schedule run --at` does: the event says another time than the clock."""
    invoke(name, schedule_event(name, datetime.now(UTC) + ahead))


def relay() -> None:
    on_schedule("relay_outbox")


def result_message(
    request_uuid: str, bucket: str, *, file_name: str | None = None, skin_color_hex: str | None = "#ba997a"
) -> dict[str, object]:
    return {
        "request_uuid": request_uuid,
        "minio_metadata": {"bucket": bucket, "file_name": file_name or f"{request_uuid}.glb"},
        "mesh_metadata": {"skin_color_hex": skin_color_hex},
    }


def finish(request_uuid: str, model: bytes, *, skin_color_hex: str | None = "#ba997a") -> None:
    """What an agent does at the end."""
    bucket = settings().minio_3d_files_bucket
    objects.put(bucket, f"{request_uuid}.glb", model, content_type="model/gltf-binary")
    consume(result_message(request_uuid, bucket, skin_color_hex=skin_color_hex))


def profile(headers: Mapping[str, str]) -> Answer:
    return request("get_profile_info", "GET", "/user-info/profile-info", headers=headers)


def to_test_mode(sql: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Turn every task into one that is in test mode."""
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET test_mode = true, sandbox_outcome = 'stuck'")
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")


def simulate(sql: psycopg.Connection[tuple[Any, ...]], request_uuid: str, *, seconds: int) -> None:
    """Turn a task into one in test mode that succeeds in so many seconds, or should have so many ago."""
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute(
        """
        UPDATE tasks SET test_mode = true, sandbox_outcome = 'slow:9',
            sandbox_due_at = now() + make_interval(secs => %s)
        WHERE request_uuid = %s
        """,
        (seconds, request_uuid),
    )
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
    model = (settings().minio_3d_files_bucket, f"{request_uuid}.glb")
    sql.execute("INSERT INTO object_deletions VALUES (%s, %s, now() + interval '1 hour')", model)
