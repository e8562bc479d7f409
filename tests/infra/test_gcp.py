"""Google Cloud Run functions: the folder that is uploaded, under Google's own functions-framework and real servers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from facet import broker
from local.testing import Local
from tests.conftest import PROJECT, Settings
from tests.functions import api
from tests.functions.conftest import Queue
from tests.infra import tasks
from tests.media import photo
from tests.stacks import free_port

BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "dev.facet.result", "ce-source": "/facet/results"}
JSON = {"content-type": "application/json"}
ORIGIN = "http://localhost:5173"
Start = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deploy.sh` uploads."""
    path = tmp_path_factory.mktemp("gcp")
    subprocess.run([PROJECT / "infra/gcp/deploy.sh", "assemble", path], cwd=PROJECT, check=True)
    return path


@pytest.fixture
def start(folder: Path, clean: Settings, project: Local) -> Iterator[Start]:
    api.local = project
    yield lambda target, **changed: framework(folder, target, {**clean, **changed})
    broker.close()


@contextmanager
def framework(folder: Path, target: str, settings: Settings) -> Iterator[httpx.Client]:
    """A client of one entry point; it runs where nothing of the project but the folder can be imported."""
    port = free_port()
    source = str(folder / "main.py")
    command = [sys.executable, "-m", "functions_framework", "--target", target, "--source", source]
    environment = {"PATH": os.environ["PATH"], "THREADS": "4", **settings}
    with subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, cwd="/") as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                _await(process, client)
                yield client
            process.terminate()
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def _await(process: subprocess.Popen[bytes], client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "functions-framework ended"
        try:
            client.get("/robots.txt")  # which no function answers
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def task(start: Start) -> str:
    return tasks.waiting()


@pytest.fixture
def result(task: str, clean: Settings) -> bytes:
    return tasks.result(clean, task)


def test_one_service_registers_a_person_signs_them_in_and_takes_their_photo(start: Start, clean: Settings) -> None:
    who = {"name": "Ada", "email": "ada@example.org", "password": api.PASSWORD}
    with start("api") as client:
        assert client.post("/api/v1/users/registration", json=who).status_code == 201
        tokens = client.post("/api/v1/users/authorization", json=who).json()
        files = {"task_source_file": ("me.jpg", photo(), "image/jpeg")}
        mine = {"access-token": tokens["access_token"]}
        made = client.post("/api/v1/3d-model-generation/tasks", headers=mine, files=files)
        assert made.status_code == 201
        task = made.json()["request_uuid"]
        answer = client.get(f"/api/v1/3d-model-generation/tasks/{task}/status", headers=mine)
    assert answer.json()["status"] == "PENDING"
    [(_, properties)] = Queue(clean).take(clean["RABBITMQ_TASKS_QUEUE"])
    assert properties.correlation_id == task


def test_a_function_is_an_entry_point_of_its_own_and_answers_for_itself_only(start: Start) -> None:
    who = {"name": "Ada", "email": "ada@example.org", "password": api.PASSWORD}
    with start("register_user") as client:
        assert client.post("/api/v1/users/registration", json=who).status_code == 201
        assert client.post("/users/registration", json=who).status_code == 409
        elsewhere = client.post("/api/v1/users/authorization", json=who)
    assert elsewhere.status_code == 404


def test_requests_come_as_they_were_sent(start: Start) -> None:
    with start("api", CORS_ORIGINS=ORIGIN) as client:
        encoded = client.get("/api/v1/problems/a%2Fb", headers={"accept": "application/problem+json"})
        assert (encoded.status_code, encoded.json()["instance"]) == (404, "/api/v1/problems/a%2Fb")
        head, got = client.head("/health/live"), client.get("/health/live")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
        assert client.delete("/health/live").status_code == 405
        asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
        preflight = client.options("/api/v1/users/registration", headers=asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, ORIGIN)
        assert "content-type" not in preflight.headers


def test_a_body_that_is_too_large_is_refused_as_everywhere(start: Start) -> None:
    with start("register_user") as client:
        refused = client.post("/api/v1/users/registration", content=b" " * 6_291_457, headers=JSON)
        chunked = client.post("/api/v1/users/registration", content=iter([b" " * 6_291_457]), headers=JSON)
        malformed = client.post("/api/v1/users/registration", content=b"{", headers=JSON)
    assert (refused.status_code, chunked.status_code, malformed.status_code) == (413, 413, 422)
    assert refused.json()["code"] == chunked.json()["code"] == "BODY_TOO_LARGE"


def test_a_result_that_comes_as_an_event_ends_its_task(start: Start, task: str, result: bytes, clean: Settings) -> None:
    with start("consume_results") as client:
        assert client.post("/", content=result, headers=BINARY | JSON).status_code == 200
        assert tasks.status(clean, task) == "SUCCESS"
        again = {"specversion": "1.0", "id": "2", "type": "t", "source": "s", "data": json.loads(result)}
        structured = {"content-type": "application/cloudevents+json"}
        assert client.post("/", json=again, headers=structured).status_code == 200


def test_an_event_that_means_nothing_is_put_aside_and_one_that_is_none_is_refused(
    start: Start, clean: Settings
) -> None:
    with start("consume_results") as client:
        assert client.post("/", content=b'{"cut o', headers=BINARY | JSON).status_code == 200
        assert client.post("/", content=b"{}", headers=JSON).status_code == 400
        assert client.post("/", content=b"{}", headers=BINARY | JSON | {"ce-time": "yesterday"}).status_code == 400
        assert client.get("/").status_code == 405
    [(body, _)] = Queue(clean).take(f"{clean['RABBITMQ_TASKS_RESULTS_QUEUE']}.dead")
    assert body == b'{"cut o'


def test_an_event_that_meets_no_database_is_answered_500_so_that_it_comes_again(
    start: Start, task: str, result: bytes, clean: Settings
) -> None:
    with start("consume_results", POSTGRES_PORT=str(free_port())) as client:
        assert client.post("/", content=result, headers=BINARY | JSON).status_code == 500
    assert tasks.status(clean, task) == "PENDING"


def test_a_schedule_is_a_request_without_a_body(start: Start, clean: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", _away)
        task = tasks.waiting()
    assert tasks.status(clean, task) == "INITIAL"
    with start("relay_outbox") as client:
        assert client.post("/", headers=BINARY).status_code == 200
    assert tasks.status(clean, task) == "PENDING"


def _away(**_: object) -> None:
    raise broker.Unavailable
