"""Azure Functions: the app that is uploaded, run by Azure's library for it (Python 3.13), before real servers."""

import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facet import broker
from local import deploy
from local.testing import Local
from tests.conftest import PROJECT, Settings
from tests.functions import api
from tests.functions.conftest import Queue
from tests.infra import tasks
from tests.media import photo
from tests.stacks import free_port

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")  # what Azure calls a function
OTHERS = "zz-other-requests"
URL = "https://facet.azurewebsites.net"


class Worker:
    """The process: what functions it has found, and what it answers."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        command = [sys.executable, "-P", str(PROJECT / "tests/infra/azure_worker.py"), str(folder)]
        self.process = subprocess.Popen(
            command, env=settings, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.bindings: dict[str, list[dict[str, Any]]] = self._heard()

    def _heard(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the worker ended"
        return json.loads(line)

    def invoke(self, function: str, kind: str, value: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        name = self.bindings[function][0]["name"]
        self.process.stdin.write(json.dumps({"function": function, "name": name, "type": kind, "value": value}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = self._heard()
        return answer

    def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"", by: str = OTHERS
    ) -> tuple[int, dict[str, str], bytes]:
        value = {"method": method, "url": URL + path, "headers": headers or {}, "body": b64encode(body).decode()}
        answer = self.invoke(by, "http", value)
        result = answer["result"]
        assert result, answer["error"]
        return result["status"], result["headers"], b64decode(result["body"])

    def message(self, body: bytes) -> dict[str, Any]:
        return self.invoke("consume_results", "bytes", b64encode(body).decode())

    def end(self) -> None:
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
            assert self.process.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deploy.sh` uploads."""
    path = tmp_path_factory.mktemp("azure")
    subprocess.run([PROJECT / "infra/azure/deploy.sh", "assemble", path], cwd=PROJECT, check=True)
    return path


@pytest.fixture
def azure(folder: Path, clean: Settings, project: Local) -> Iterator[Worker]:
    api.local = project
    started = Worker(folder, clean)
    try:
        yield started
        started.end()
    finally:
        started.process.kill()
        broker.close()


def sent(content: object) -> dict[str, Any]:
    return {"headers": {"content-type": "application/json"}, "body": json.dumps(content).encode()}


@pytest.fixture
def task(azure: Worker) -> str:
    return tasks.waiting()


@pytest.fixture
def result(task: str, clean: Settings) -> bytes:
    return tasks.result(clean, task)


def test_every_route_of_the_template_is_a_function_that_anybody_may_call(azure: Worker) -> None:
    template = deploy.read(PROJECT / "template.yaml").template
    triggers = {name: bindings[0] for name, bindings in azure.bindings.items()}
    taken = {
        (method, f"/{trigger['route']}")
        for trigger in triggers.values()
        if trigger["type"] == "httpTrigger" and trigger["name"] != OTHERS
        for method in trigger["methods"]
    }
    assert {(route.method, route.path) for route in template.routes if route.path.startswith("/api/v1/")} <= taken
    assert all(trigger.get("authLevel", "ANONYMOUS") == "ANONYMOUS" for trigger in triggers.values())
    assert all(NAME.fullmatch(name) for name in triggers)
    assert max(triggers, key=str.lower) == OTHERS  # Azure tries routes in this order


def test_what_no_client_calls_has_a_trigger_of_its_own_and_operators_functions_have_none(azure: Worker) -> None:
    triggers = {name: bindings[0] for name, bindings in azure.bindings.items()}
    queue = triggers["consume_results"]
    assert (queue["type"], queue["queueName"]) == ("rabbitMQTrigger", "%RABBITMQ_TASKS_RESULTS_QUEUE%")
    assert (queue["connectionStringSetting"], queue["dataType"]) == ("RABBITMQ_CONNECTION", "BINARY")
    timers = {name for name, trigger in triggers.items() if trigger["type"] == "timerTrigger"}
    assert timers == {"relay_outbox", "reap_tasks", "purge_expired"}
    assert {triggers[name]["schedule"] for name in timers} == {"0 * * * * *"}
    assert not {"migrate", "list_users", "set_password", "issue_token"} & set(triggers)


def test_somebody_registers_signs_in_and_has_a_photo_taken(azure: Worker, clean: Settings) -> None:
    who = {"name": "Ada", "email": "ada@example.org", "password": api.PASSWORD}
    code, _, _ = azure.request("POST", "/api/v1/users/registration", **sent(who), by="register_user")
    assert code == 201
    _, _, body = azure.request("POST", "/api/v1/users/authorization", **sent(who), by="authorize_user")
    form = {"access-token": json.loads(body)["access_token"], "content-type": "multipart/form-data; boundary=b"}
    head = b'--b\r\ncontent-disposition: form-data; name="task_source_file"; filename="me.jpg"\r\n\r\n'
    path = "/api/v1/3d-model-generation/tasks"
    code, headers, body = azure.request(
        "POST", path, headers=form, body=head + photo() + b"\r\n--b--\r\n", by="create_task"
    )
    assert code == 201, body
    task = json.loads(body)["request_uuid"]
    assert headers["location"].endswith(task)
    _, _, body = azure.request("GET", f"{path}/{task}/status", headers=form, by="get_task_status")
    assert json.loads(body)["status"] == "PENDING"


def test_requests_come_as_they_were_sent(azure: Worker, clean: Settings) -> None:
    encoded = azure.request("GET", "/api/v1/problems/a%2Fb", headers={"accept": "application/problem+json"})
    assert (encoded[0], json.loads(encoded[2])["instance"]) == (404, "/api/v1/problems/a%2Fb")
    assert azure.request("HEAD", "/health/live")[::2] == (200, b"")
    assert azure.request("DELETE", "/health/live")[0] == 405
    asked = {"origin": "http://localhost:5173", "access-control-request-method": "POST"}
    code, headers, _ = azure.request("OPTIONS", "/api/v1/users/registration", headers=asked)
    assert (code, headers["access-control-allow-origin"]) == (204, "http://localhost:5173")


def test_a_body_that_is_too_large_is_refused_as_everywhere(azure: Worker) -> None:
    code, _, body = azure.request("POST", "/api/v1/users/registration", body=b" " * 6_291_457, by="register_user")
    assert (code, json.loads(body)["code"]) == (413, "BODY_TOO_LARGE")


def test_a_result_ends_its_task_and_one_that_means_nothing_is_put_aside(
    azure: Worker, task: str, result: bytes, clean: Settings
) -> None:
    assert azure.message(result)["error"] is None
    assert tasks.status(clean, task) == "SUCCESS"
    assert azure.message(b'\xff{"cut o')["error"] is None
    [(body, _)] = Queue(clean).take(f"{clean['RABBITMQ_TASKS_RESULTS_QUEUE']}.dead")
    assert body == b'\xff{"cut o'


def test_a_timer_calls_a_scheduled_function(azure: Worker, clean: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", _away)
        task = tasks.waiting()
    assert tasks.status(clean, task) == "INITIAL"
    assert azure.invoke("relay_outbox", "json", json.dumps({"IsPastDue": False}))["error"] is None
    assert tasks.status(clean, task) == "PENDING"


def _away(**_: object) -> None:
    raise broker.Unavailable


def test_an_outage_is_an_answer_to_a_client(folder: Path, clean: Settings) -> None:
    azure = Worker(folder, {**clean, "POSTGRES_PORT": str(free_port())})
    who = {"name": "Ada", "email": "ada@example.org", "password": api.PASSWORD}
    try:
        code, _, body = azure.request("POST", "/api/v1/users/registration", **sent(who))
        assert (code, b"Traceback" in body) == (503, False)
        azure.end()
    finally:
        azure.process.kill()
