"""The image: what stands in it, and that its commands work with nothing else, in a tree that they leave alone."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Settings
from tests.infra import image as images
from tests.infra.image import ROOT, included, stages
from tests.stacks import free_port, until

TARGETS = ("runtime", "lambda", "stack")
EVENT = {
    "version": "2.0",
    "rawPath": "/api/v1/3d-model-generation/tasks",
    "rawQueryString": "",
    "headers": {"host": "x", "accept": "application/problem+json"},
    "requestContext": {"http": {"method": "POST", "path": "/", "sourceIp": "192.0.2.1"}, "requestId": "1"},
    "isBase64Encoded": False,
}


def lint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "hadolint"), "--no-color", str(dockerfile)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing() -> None:
    done = lint(images.DOCKERFILE)
    assert done.returncode == 0, done.stdout


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    wrong = tmp_path / "Dockerfile"
    wrong.write_text(images.DOCKERFILE.read_text().replace("USER 10001:10001", "USER root"))
    assert "DL3002" in lint(wrong).stdout


def test_every_base_is_another_stage_or_a_pinned_image() -> None:
    (pinned,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", images.DOCKERFILE.read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.13-slim-[a-z]+", pinned)
    assert {base for base, _ in stages().values()} - set(stages()) == {"${PYTHON_IMAGE}"}


@pytest.mark.parametrize("source", images.copied())
def test_what_is_copied_exists_and_reaches_the_build(source: str) -> None:
    assert (ROOT / source).exists()
    assert included(Path(source))


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "infra/.env.production",
        ".git/config",
        ".facet/secrets.env",
        ".venv/bin/python",
        "backups/x/database.dump",
        "tests/conftest.py",
        "README.md",
        "infra/compose/README.md",
        "functions/health/__pycache__/handler.pyc",
    ],
)
def test_secrets_data_and_what_is_not_run_stay_outside(path: str) -> None:
    assert not included(Path(path))


def test_what_installs_packages_checks_their_hashes() -> None:
    runs = [arguments for _, body in stages().values() for keyword, arguments in body if keyword == "RUN"]
    installing = [re.split("&&", run) for run in runs if " install " in run and "pip" in run]
    commands = [command for parts in installing for command in parts if "pip" in command]
    assert commands
    assert all("--require-hashes" in command and "--only-binary=:all:" in command for command in commands)


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_as_nobody_special_and_has_no_setting_that_is_a_secret(target: str) -> None:
    made = images.image(target)
    assert made.user == "10001:10001"
    assert set(made.env) <= {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "FACET_STATE"}


@pytest.mark.parametrize("target", ["runtime", "lambda"])
def test_the_functions_alone_are_without_the_local_cloud(target: str) -> None:
    places = set(images.image(target).files)
    assert {"/app/functions", "/app/layers/facet/python", "/app/shared", "/app/infra/migrations/python"} <= places
    assert not [place for place in places if place.startswith(("/app/local", "/app/tests", "/app/template"))]


def test_lambda_starts_awss_interface_with_a_function() -> None:
    made = images.image("lambda")
    assert made.entrypoint == ["python", "-m", "awslambdaric"]
    assert made.cmd == ["functions.create_task.handler.app"]
    assert made.healthcheck == []
    assert "/interface" in made.env["PYTHONPATH"].split(":")


@dataclass
class Container:
    """A target's files in a folder that nobody may change, and the environment of its processes."""

    made: images.Image
    folder: Path
    workdir: Path
    settings: Mapping[str, str]
    writable: Path

    def environment(self, **more: str) -> dict[str, str]:
        place = {"PATH": os.environ["PATH"], "TMPDIR": str(self.writable), "HOME": str(self.writable)}
        return {**place, **self.made.environment(self.folder), **self.settings, **more}

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(command),
            cwd=self.workdir,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def running(self, *command: str, stops_with: int = 0, more: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        log = self.writable / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(command or self.made.command),
                cwd=self.workdir,
                env=self.environment(**more),
                stdout=output,
                stderr=output,
            )
        try:
            yield process
        finally:
            process.terminate()
            code = process.wait(30)
        assert code == stops_with, log.read_text()

    def healthy(self, **more: str) -> bool:
        return self.run(*self.made.healthcheck, **more).returncode == 0

    @staticmethod
    def _command(command: Any) -> list[str]:
        return [sys.executable if word == "python" else word for word in command]

    def snapshot(self) -> dict[str, int]:
        return {str(each): each.stat().st_mtime_ns for each in self.folder.rglob("*")}


@pytest.fixture(params=["runtime"])
def container(request: pytest.FixtureRequest, tmp_path: Path, migrated: Settings) -> Iterator[Container]:
    made, folder, writable = images.image(request.param), tmp_path / "image", tmp_path / "tmp"
    folder.mkdir()
    writable.mkdir()
    workdir = made.unpack(folder)
    settings = {name: value for name, value in migrated.items() if not name.startswith("AGENT_")}
    there = Container(made, folder, workdir, settings, writable)
    before = there.snapshot()
    yield there
    assert there.snapshot() == before, "the image's own files were changed"
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o755)


def test_the_image_serves_all_functions_and_knows_that_it_does(container: Container) -> None:
    port = str(free_port())
    assert not container.healthy(PORT=port)
    with container.running(more={"HOST": "127.0.0.1", "PORT": port}):
        until(lambda: container.healthy(PORT=port), within=30, what="the health check of the image")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            until(lambda: client.get("/_/ready").status_code == 200, within=30, what="/_/ready")
            assert client.get("/health/ready").json() == {"status": "ready"}
            person = {"name": "Bo", "email": "image@example.com", "password": "correct horse battery"}
            assert client.post("/api/v1/users/registration", json=person).status_code == 201
            assert client.get("/docs").status_code == 200


def test_the_image_consumes_results_and_its_health_is_the_ready_file(container: Container) -> None:
    ready = container.writable / "ready"
    assert not container.healthy(FACET_READY_FILE=str(ready))
    with container.running("python", "-m", "facet.consume", more={"FACET_READY_FILE": str(ready)}):
        until(lambda: container.healthy(FACET_READY_FILE=str(ready)), within=30, what="the ready file")


def test_the_image_migrates_and_runs_what_a_schedule_invokes(container: Container) -> None:
    done = container.run("python", "-m", "facet.invoke", "migrate")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["buckets"]
    done = container.run("python", "-m", "facet.invoke", "relay_outbox", "--scheduled")
    assert done.returncode == 0, done.stderr


class RuntimeApi(BaseHTTPRequestHandler):
    """AWS's, for one event."""

    protocol_version = "HTTP/1.1"

    events: list[bytes]
    answers: list[dict[str, Any]]
    waiting: threading.Event

    def do_GET(self) -> None:
        if not self.events:
            self.waiting.wait(60)
            return
        body = self.events.pop()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
        self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:x")
        self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answers.append({"path": self.path, "body": json.loads(body)})
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize("container", ["lambda"], indirect=True)
def test_the_image_for_lambda_answers_an_event_of_its_runtime(container: Container) -> None:
    kind = type(
        "Api", (RuntimeApi,), {"events": [json.dumps(EVENT).encode()], "answers": [], "waiting": threading.Event()}
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    more = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "create_task"}
    more |= {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"}
    try:
        with container.running(stops_with=-15, more=more):
            (answer,) = until(lambda: kind.answers, within=30, what="an answer")  # type: ignore[attr-defined]  # made above
    finally:
        kind.waiting.set()  # type: ignore[attr-defined]  # made above
        server.shutdown()
        server.server_close()
    assert answer["path"].endswith("/response")
    assert answer["body"]["statusCode"] == 422  # the token is missing
    assert "access-token" in answer["body"]["body"]


@pytest.mark.parametrize("container", ["stack"], indirect=True)
def test_the_image_of_one_machine_serves_the_functions_in_sandboxes(container: Container) -> None:
    port = str(free_port())
    place = {"FACET_STATE": str(container.writable / "state"), "FACET_ENV_FILE": str(container.writable / "none")}
    more = {**place, "APP_PORT": port, "EDGE_PORT": "0"}
    with container.running(more=more), httpx.Client(trust_env=False) as client:

        def ready() -> bool:
            try:
                return client.get(f"http://localhost:{port}/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(ready, within=60, what="the functions of the stack")
    done = container.run("python", "-m", "infra.compose.backup", "--help", **place)
    assert done.returncode == 0, done.stderr
