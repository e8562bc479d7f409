"""A target's commands as processes: its files in a folder that nobody may change, and one place to write."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.infra import image as images
from tests.stacks import free_port, until

EVENT = {
    "version": "2.0",
    "rawPath": "/api/v1/3d-model-generation/tasks",
    "rawQueryString": "",
    "headers": {"host": "x", "accept": "application/problem+json"},
    "requestContext": {"http": {"method": "POST", "path": "/", "sourceIp": "192.0.2.1"}, "requestId": "1"},
    "isBase64Encoded": False,
}


@dataclass
class Container:
    """`python` runs it, with its own packages, and those of `interface` where the image has that folder."""

    made: images.Image
    folder: Path
    workdir: Path
    settings: Mapping[str, str]
    writable: Path
    python: str = sys.executable
    interface: Path | None = None

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        place = {"PATH": os.environ["PATH"], "TMPDIR": str(self.writable), "HOME": str(self.writable)}
        own = self.made.environment(self.folder)
        if self.interface and "/interface" in self.made.env.get("PYTHONPATH", ""):
            own["PYTHONPATH"] += f"{os.pathsep}{self.interface}"
        return {**place, **own, **self.settings, **more}

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(command),
            cwd=self.workdir,
            env=self.environment(more),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def running(self, *command: str, more: Mapping[str, str], stops_with: int = 0) -> Iterator[None]:
        """The command, or the image's own, until the block ends."""
        log = self.writable / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(command or self.made.command),
                cwd=self.workdir,
                env=self.environment(more),
                stdout=output,
                stderr=output,
            )
        try:
            yield
        finally:
            process.terminate()
            code = process.wait(30)
            assert code == stops_with, log.read_text()

    def healthy(self, **more: str) -> bool:
        return self.run(*self.made.healthcheck, **more).returncode == 0

    def _command(self, command: Sequence[str]) -> list[str]:
        return [self.python if word == "python" else word for word in command]

    def snapshot(self) -> dict[str, int]:
        return {str(each): each.stat().st_mtime_ns for each in self.folder.rglob("*")}


@contextmanager
def unpacked(target: str, folder: Path, settings: Mapping[str, str], **packages: Any) -> Iterator[Container]:
    """A target below `folder`; at the end nothing of it may have been changed."""
    made, root, writable = images.image(target), folder / "image", folder / "tmp"
    root.mkdir()
    writable.mkdir()
    ours = {name: value for name, value in settings.items() if not name.startswith("AGENT_")}
    container = Container(made, root, made.unpack(root, **packages), ours, writable, **packages)
    before = container.snapshot()
    try:
        yield container
        assert container.snapshot() == before, "the image's own files were changed"
    finally:
        for each in (root, *root.rglob("*")):
            each.chmod(0o755)


def serves(container: Container) -> None:
    port = str(free_port())
    assert not container.healthy(PORT=port)
    with container.running(more={"HOST": "127.0.0.1", "PORT": port}):
        until(lambda: container.healthy(PORT=port), within=30, what="the health check of the image")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            until(lambda: client.get("/_/ready").status_code == 200, within=30, what="/_/ready")
            until(lambda: client.get("/health/ready").json() == {"status": "ready"}, within=30, what="/health/ready")
            person = {"name": "Bo", "email": "image@example.com", "password": "correct horse battery"}
            assert client.post("/api/v1/users/registration", json=person).status_code in (201, 409)
            assert client.get("/docs").status_code == 200


def consumes(container: Container) -> None:
    ready = container.writable / "ready"
    assert not container.healthy(FACET_READY_FILE=str(ready))
    with container.running("python", "-m", "facet.consume", more={"FACET_READY_FILE": str(ready)}):
        until(lambda: container.healthy(FACET_READY_FILE=str(ready)), within=30, what="the ready file")


def migrates(container: Container) -> None:
    done = container.run("python", "-m", "facet.invoke", "migrate")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["buckets"]
    for name in ("relay_outbox", "reap_tasks", "purge_expired"):
        done = container.run("python", "-m", "facet.invoke", name, "--scheduled")
        assert done.returncode == 0, done.stderr


def answers_aws(container: Container) -> None:
    with runtime_api(EVENT) as (address, answers):
        more = {"AWS_LAMBDA_RUNTIME_API": address, "AWS_LAMBDA_FUNCTION_NAME": "create_task"}
        with container.running(stops_with=-15, more=more | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"}):
            (answer,) = until(lambda: answers, within=30, what="an answer of the function")
    assert answer["statusCode"] == 422  # the token is missing
    assert "access-token" in answer["body"]


def serves_in_sandboxes(container: Container) -> None:
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
    done = container.run("python", "-m", "infra.compose.backup", **place, BACKUP_ROOT=str(container.writable / "kept"))
    assert done.returncode == 0, done.stderr


@contextmanager
def runtime_api(event: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """AWS's, for one event; its address, and where the answer will be."""
    events, answers, over = [json.dumps(event).encode()], list[dict[str, Any]](), threading.Event()

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not events:
                over.wait(60)
                return
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:x")
            self.send_header("Lambda-Runtime-Deadline-Ms", "9999999999999")
            self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
            self.send_header("Content-Type", "application/json")  # the client crashes without
            self._end(events.pop())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self._end(b"")
            answers.append(json.loads(body))

        def _end(self, body: bytes) -> None:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", answers
    finally:
        over.set()
        server.shutdown()
        server.server_close()
