"""The containers of the manifests, as processes: their commands in their environment, probed, asked and stopped.

What a cluster would add is given: the Secret, the port to listen on, /tmp, and the image's own import path.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from local.deploy.openfaas import SECRETS_FOLDER
from tests.conftest import PROJECT, Settings
from tests.infra import manifests
from tests.infra.conftest import Files
from tests.infra.manifests import Document
from tests.stacks import free_port, until

PATIENCE = 30.0
Rendered = Callable[[str], Files]
PERSON = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple"}


def import_path() -> str:
    """PYTHONPATH of the image's target `runtime`."""
    text = (PROJECT / "infra" / "containers" / "Dockerfile").read_text()
    runtime = text.partition(" AS runtime\n")[2].partition("\nFROM ")[0]
    (path,) = re.findall(r"^ENV PYTHONPATH=(\S+)", runtime, re.MULTILINE)
    return str(path).replace("/app", str(PROJECT))


class Container:
    """A container's command and environment; in `folder` is what it has at /tmp."""

    def __init__(self, document: Document, environment: Mapping[str, str], folder: Path) -> None:
        self.document, self.folder, self.port = document, folder, free_port()
        self._command = [sys.executable, *document["command"][1:]]
        assert document["command"][0] == "python"
        self._environment = {
            **{name: self._mounted(value) for name, value in environment.items()},
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "PYTHONPATH": import_path(),
            "PATH": os.environ["PATH"],
        }
        self.process: subprocess.Popen[bytes] | None = None

    def _mounted(self, value: str) -> str:
        return re.sub("^/tmp(?=/)", str(self.folder), value)

    def run(self) -> "subprocess.CompletedProcess[str]":
        """To its end, as a Job's."""
        return subprocess.run(
            self._command, env=self._environment, cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE
        )

    def start(self, output: IO[bytes]) -> None:
        self.process = subprocess.Popen(
            self._command, env=self._environment, cwd=self.folder, stdout=output, stderr=output
        )

    def passes(self, probe: Mapping[str, Any]) -> bool:
        if "exec" in probe:
            command = [self._mounted(word) for word in probe["exec"]["command"]]
            return subprocess.run(command, timeout=PATIENCE).returncode == 0
        assert probe["httpGet"].get("port", self.document["ports"][0]["containerPort"]) == 8080
        try:
            return self.request("GET", probe["httpGet"]["path"]).status_code == 200
        except httpx.TransportError:
            return False

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE, trust_env=False, **more)


@contextmanager
def running(container: Container, probe: Mapping[str, Any], grace: float) -> Iterator[Container]:
    """Started and probed until it is ready; stopped as a cluster stops it, and ended well within its grace."""
    log = container.folder / "log"
    with log.open("wb") as output:
        container.start(output)
    process = container.process
    assert process is not None
    try:
        deadline = time.monotonic() + PATIENCE
        while not container.passes(probe):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield container
        process.send_signal(signal.SIGTERM)
        assert process.wait(grace) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def of(rendered: Rendered, environment: Settings, folder: Path) -> Callable[..., Container]:
    """The container of a document; the Secret holds what the operator of this run's servers would put into it."""

    def made(target: str, kustomization: str, kind: str, name: str) -> Container:
        found = manifests.built(rendered(target), kustomization)
        container = manifests.container(found, kind, name)
        return Container(container, manifests.environment(found, container, environment), folder)

    return made


def grace_of(files: Files, name: str) -> int:
    found = dict(manifests.pods_by_name(manifests.built(files, "app")))
    return int(found["Deployment", name]["terminationGracePeriodSeconds"])


def test_the_api_of_kubernetes_is_ready_answers_and_stops(
    of: Callable[..., Container], rendered: Rendered, clean: Settings
) -> None:
    api = of("kubernetes", "app", "Deployment", "facet-api")
    with running(api, api.document["startupProbe"], grace_of(rendered("kubernetes"), "facet-api")):
        assert api.passes(api.document["readinessProbe"])
        assert api.passes(api.document["livenessProbe"])
        until(lambda: api.request("GET", "/api/v1/health/ready").status_code == 200, within=PATIENCE, what="readiness")
        assert api.request("POST", "/api/v1/users/registration", json=PERSON).status_code == 201
        assert api.request("GET", "/fn/health/health/live").status_code == 200
        assert api.request("POST", "/fn/relay_outbox/", json={}).status_code == 404


def test_a_function_of_knative_answers_at_its_own_address(of: Callable[..., Container], clean: Settings) -> None:
    function = of("knative", "app", "Service", "facet-register-user")
    with running(function, function.document["readinessProbe"], PATIENCE):
        assert function.passes(function.document["livenessProbe"])
        assert function.request("POST", "/api/v1/users/registration", json=PERSON).status_code == 201
        assert function.request("GET", "/api/v1/user-info/profile-info").status_code == 404


def event(kind: str, **more: str) -> dict[str, str]:
    moment = datetime.now(UTC).isoformat()
    return {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/test", "ce-type": kind, "ce-time": moment, **more}


@pytest.mark.parametrize("name", ["relay-outbox", "reap-tasks", "purge-expired"])
def test_what_runs_by_the_clock_on_knative_takes_the_tick_of_a_pingsource(
    of: Callable[..., Container], clean: Settings, name: str
) -> None:
    function = of("knative", "app", "Service", f"facet-{name}")
    with running(function, function.document["readinessProbe"], PATIENCE):
        answer = function.request("POST", "/", headers=event("dev.knative.sources.ping"), content=b"")
        assert (answer.status_code, answer.text) == (204, "")


def test_the_sink_of_a_rabbitmqsource_takes_messages(of: Callable[..., Container], clean: Settings) -> None:
    sink = of("knative", "rabbitmq-source", "Service", "facet-consume-results")
    with running(sink, sink.document["readinessProbe"], PATIENCE):
        message = json.dumps({"task": "unknown"}).encode()
        headers = event("dev.knative.rabbitmq.event", **{"content-type": "application/json"})
        assert sink.request("POST", "/", headers=headers, content=message).status_code == 204


@pytest.mark.parametrize("target", ["kubernetes", "knative", "openfaas"])
def test_the_consumer_is_ready_while_it_consumes_and_stops(
    of: Callable[..., Container], rendered: Rendered, clean: Settings, target: str
) -> None:
    consumer = of(target, "app", "Deployment", "facet-consume-results")
    assert not consumer.passes(consumer.document["readinessProbe"])
    with running(consumer, consumer.document["readinessProbe"], grace_of(rendered(target), "facet-consume-results")):
        pass
    assert not consumer.passes(consumer.document["readinessProbe"])


@pytest.mark.parametrize("name", ["relay-outbox", "reap-tasks", "purge-expired"])
def test_a_cron_job_runs_once_and_ends_well(of: Callable[..., Container], clean: Settings, name: str) -> None:
    run = of("kubernetes", "app", "CronJob", f"facet-{name}").run()
    assert (run.returncode, run.stdout) == (0, "null\n"), run.stderr


def test_the_migration_job_says_what_it_brought_up_to_date(of: Callable[..., Container], clean: Settings) -> None:
    run = of("kubernetes", "migrate", "Job", "facet-migrate").run()
    assert run.returncode == 0, run.stderr
    assert {"schema", "buckets", "queues"} <= json.loads(run.stdout).keys()


def test_without_the_operators_settings_the_api_says_what_is_missing(rendered: Rendered, folder: Path) -> None:
    found = manifests.built(rendered("kubernetes"), "app")
    document = manifests.container(found, "Deployment", "facet-api")
    run = Container(document, manifests.environment(found, document, {}), folder).run()
    assert run.returncode == 1
    assert all(name in run.stderr for name in ("POSTGRES_HOST", "SECRET_KEY", "MINIO_SECRET_KEY"))
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("name", ["facet-api", "register-user"])
def test_a_function_of_openfaas_takes_its_secrets_from_files(
    rendered: Rendered, clean: Settings, folder: Path, name: str
) -> None:
    found = manifests.built(rendered("openfaas"), "functions")
    spec = manifests.find(found, "Function", name)["spec"]
    filled = {setting: clean.get(setting, value) if value else "" for setting, value in spec["environment"].items()}
    assert filled.pop("FACET_SECRETS_DIR") == SECRETS_FOLDER
    (folder / "secrets").mkdir()
    for setting in clean.keys() - {setting for setting, value in filled.items() if value}:
        (folder / "secrets" / setting).write_text(clean[setting])
    environment = {**filled, "FACET_SECRETS_DIR": "/tmp/secrets"}
    image = {"command": ["python", "-m", "facet.serve"], "ports": [{"containerPort": 8080}]}
    assert '\nCMD ["python", "-m", "facet.serve"]\n' in (PROJECT / "infra" / "containers" / "Dockerfile").read_text()
    function = Container(image, environment, folder)
    health, ready = (spec["annotations"][f"com.openfaas.{probe}.http.path"] for probe in ("health", "ready"))
    with running(function, {"httpGet": {"path": ready}}, PATIENCE):
        assert function.passes({"httpGet": {"path": health}})
        assert function.request("POST", "/api/v1/users/registration", json=PERSON).status_code == 201
