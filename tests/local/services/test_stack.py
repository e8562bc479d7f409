"""All services together, as tests and `facet up` run them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import botocore.exceptions
import pika  # type: ignore[import-untyped]  # pika ships no types
import psutil
import pytest
from botocore.config import Config

from local.cloud import environment
from local.cloud.state import State
from local.services import records
from local.services.process import ServiceFailed
from local.services.stack import start_services
from local.services.supervisor import Supervisor
from tests.servers import named, postgres

PROJECT = Path(__file__).resolve().parents[3]
Settings = dict[str, str]


class Services:
    """`python -m local.services` on a state folder and an .env of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.state, self.env = folder / "state", folder / ".env"
        self.env.write_text(environment.render(with_secrets=True))
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "local.services", "--state", str(self.state), "--env", str(self.env)]
        self.process = subprocess.Popen(
            [*command, *options], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self.process

    def settings(self) -> Settings:
        """By which they are reached, when they are ready."""
        assert self.process
        address = self.state / "run" / "services.json"
        while not address.exists():
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)
        assert address.stat().st_mode & 0o077 == 0
        settings: Settings = json.loads(address.read_text())
        return settings

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """The exit code and all that was said."""
        assert self.process
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this state folder."""
        noted = [records.find(self.state / "run", file.stem) for file in (self.state / "run").glob("*.pid")]
        return [each for found in noted if found for each in (found, *records.descendants(found.pid))]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Services]:
    services = Services(tmp_path)
    yield services
    if services.process and services.process.poll() is None:
        services.stop()


def amqp(settings: Settings) -> pika.BlockingConnection:
    account = pika.PlainCredentials(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"])
    return pika.BlockingConnection(
        pika.ConnectionParameters(settings["RABBITMQ_HOST"], int(settings["RABBITMQ_PORT"]), "/", account)
    )


def put(settings: Settings, bucket: str, prefix: str = "") -> str:
    """What S3 says to an upload by the application (or by the agent, with that prefix)."""
    client = boto3.client(
        "s3",
        endpoint_url=settings["MINIO_HOST"],
        aws_access_key_id=settings[f"{prefix}MINIO_ACCESS_KEY"],
        aws_secret_access_key=settings[f"{prefix}MINIO_SECRET_KEY"],
        region_name=settings["MINIO_REGION"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        if not prefix:
            client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="key", Body=b"body")
        return str(client.get_object(Bucket=bucket, Key="key")["Body"].read(), "ascii")
    except botocore.exceptions.ClientError as refusal:
        return str(refusal.response["Error"]["Code"])
    finally:
        client.close()


def test_data_and_ports_outlive_a_kill_and_changed_passwords_take_effect(own: Services) -> None:
    process = own.start()
    first = own.settings()
    with postgres(first) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    connection = amqp(first)
    channel = connection.channel()
    channel.confirm_delivery()
    for kind in ("quorum", "classic"):
        channel.queue_declare(kind, durable=True, arguments={"x-queue-type": kind})
        channel.basic_publish("", kind, kind.encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)
    connection.close()
    left = own.processes()
    assert {"epmd", "postgres", "rabbitmq", "objects"} == {file.stem for file in (own.state / "run").glob("*.pid")}
    process.kill()
    process.communicate()
    own.env.write_text(environment.render(with_secrets=True))

    process = own.start()
    while (own.state / "run" / "services.json").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)  # the old one goes when the new run has taken over
    second = own.settings()
    assert not any(records.is_alive(each) for each in left)
    assert {name for name in first if first[name] != second[name]} == {
        setting.name for setting in environment.SETTINGS if setting.secret and setting.name in first
    }
    with postgres(second) as conn:
        assert conn.execute("SELECT seven FROM kept").fetchone() == (7,)
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        amqp(first)
    connection = amqp(second)
    channel = connection.channel()
    assert [channel.basic_get(kind, auto_ack=True)[2] for kind in ("quorum", "classic")] == [b"quorum", b"classic"]
    connection.close()

    left = own.processes()
    assert own.stop()[0] == 0
    assert not any(records.is_alive(each) for each in left)
    assert not (own.state / "run" / "services.json").exists()


def test_the_application_writes_everywhere_and_the_agent_to_the_avatars(services: Settings, worker: str) -> None:
    models = services["MINIO_3D_FILES_BUCKET"]
    assert put(services, f"{worker}-any") == "body"
    assert put(services, f"{worker}-any", "AGENT_") == "AccessDenied"
    assert put(services, models) == "body"
    assert put(services, models, "AGENT_") == "body"


def test_they_stop_when_the_parent_is_gone(own: Services) -> None:
    with subprocess.Popen(["sleep", "600"]) as parent:
        try:
            process = own.start("--parent", str(parent.pid))
            while not own.processes():
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.02)
            left = own.processes()
        finally:
            parent.kill()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert not any(records.is_alive(each) for each in left)


def test_a_second_run_on_the_same_state_is_refused(own: Services, tmp_path: Path) -> None:
    own.start()
    settings = own.settings()
    (tmp_path / "other").mkdir()
    other = Services(tmp_path / "other")
    other.state = own.state
    said, _ = other.start().communicate(timeout=60)
    assert other.process
    assert other.process.returncode == 1
    assert "another process already runs them" in said
    assert "Traceback" not in said
    assert own.settings() == settings


def test_a_broken_env_is_named_without_a_traceback(own: Services) -> None:
    own.env.write_text("POSTGRES_PASSWORD='half\n")
    said, _ = own.start().communicate(timeout=60)
    assert own.process
    assert own.process.returncode == 1
    assert "line 1" in said
    assert "Traceback" not in said


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State.open(tmp_path, tmp_path / "state")
    yield state
    state.close()


async def start(state: State, env: Settings, reports: list[str]) -> tuple[Settings, list[str]]:
    """The settings and the names of what was started; all of it is stopped again."""
    supervisor = Supervisor(reports.append, run=state.run)
    try:
        settings = await start_services(state, env, supervisor, reports.append)
        return settings, [status.name for status in supervisor.status()]
    finally:
        await supervisor.stop()


@pytest.mark.anyio
async def test_servers_named_in_env_are_checked_and_used(state: State, services: Settings) -> None:
    reports: list[str] = []
    settings, started = await start(state, services, reports)
    assert started == []
    assert settings == services
    assert sorted(reports) == [
        f"objects: using {services['MINIO_HOST']}",
        "postgres: using 127.0.0.1",
        "rabbitmq: using 127.0.0.1",
    ]


@pytest.mark.anyio
async def test_with_servers_of_others_the_agent_may_share_the_applications_accounts(
    state: State, services: Settings
) -> None:
    env = named(services, "POSTGRES_", "RABBITMQ_", "MINIO_")
    settings, _ = await start(state, env, [])
    assert settings["AGENT_RABBITMQ_USER"] == services["RABBITMQ_USER"]
    assert settings["AGENT_RABBITMQ_PASSWORD"] == services["RABBITMQ_PASSWORD"]
    assert settings["AGENT_MINIO_SECRET_KEY"] == services["MINIO_SECRET_KEY"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        (
            {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1"},
            r"postgres: POSTGRES_HOST .* 127\.0\.0\.1:1, but .*refused",
        ),
        ({"POSTGRES_PASSWORD": "wrong-one"}, "postgres: POSTGRES_HOST .* password authentication failed"),
        ({"RABBITMQ_PORT": "1"}, r"rabbitmq: RABBITMQ_HOST .* 127\.0\.0\.1:1, but no broker answers"),
        ({"RABBITMQ_PORT": "amqp"}, "rabbitmq: RABBITMQ_PORT in .env is not a number"),
        ({"MINIO_HOST": "http://127.0.0.1:s3"}, "objects: MINIO_HOST .* but no HTTP server answers"),
        ({"MINIO_HOST": "127.0.0.1:1"}, r"objects: MINIO_HOST .* http://127\.0\.0\.1:1, but no HTTP server answers"),
    ],
)
async def test_a_named_server_that_does_not_answer_is_a_failure_with_a_way_out(
    state: State, services: Settings, changes: Settings, cause: str
) -> None:
    with pytest.raises(ServiceFailed, match=f"(?s){cause}.*next: ") as failure:
        await start(state, {**services, **changes}, [])
    assert "wrong-one" not in str(failure.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name",
    ["POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "AGENT_RABBITMQ_PASSWORD", "MINIO_SECRET_KEY", "AGENT_MINIO_ACCESS_KEY"],
)
async def test_a_missing_secret_is_named_before_anything_starts(state: State, services: Settings, name: str) -> None:
    server = {"POSTGRES": "POSTGRES_HOST", "RABBITMQ": "RABBITMQ_HOST", "MINIO": "MINIO_HOST"}[
        name.removeprefix("AGENT_").split("_")[0]
    ]
    env = {key: value for key, value in services.items() if key not in (name, server)}
    with pytest.raises(ServiceFailed, match=f"{name} not set in .env\nnext: .*make env"):
        await start(state, env, [])
    assert not list((state.root / "data").glob("*"))


MINIO = """#!{python}
import http.server, json, os, pathlib, sys
host, _, port = sys.argv[sys.argv.index("--address") + 1].rpartition(":")
pathlib.Path(sys.argv[2]).mkdir()
pathlib.Path(sys.argv[2], "asked").write_text(json.dumps([sys.argv[1:], dict(os.environ)]))
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/minio/health/live" else 404)
        self.end_headers()
http.server.HTTPServer((host, int(port)), Health).serve_forever()
"""


@pytest.fixture
def minio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Settings]:
    """Puts a stand-in for MinIO on PATH; afterwards the variables it was given."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "minio").write_text(MINIO.format(python=sys.executable))
    (tmp_path / "bin" / "minio").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def asked() -> Settings:
        arguments, variables = json.loads((tmp_path / "state/data/minio/asked").read_text())
        assert arguments[:2] == ["server", str(tmp_path / "state/data/minio")]
        return dict(variables)

    return asked


@pytest.mark.anyio
async def test_a_minio_on_the_path_is_used(state: State, services: Settings, minio: Callable[[], Settings]) -> None:
    env = {name: value for name, value in services.items() if name != "MINIO_HOST"}
    settings, started = await start(state, env, [])
    assert started == ["objects"]
    assert minio()["MINIO_ROOT_PASSWORD"] == services["MINIO_SECRET_KEY"]
    assert settings["MINIO_HOST"] == f"http://127.0.0.1:{state.ports()['objects']}"
    assert settings["AGENT_MINIO_ACCESS_KEY"] == services["MINIO_ACCESS_KEY"]


@pytest.mark.anyio
async def test_what_our_own_server_has_stored_stays_with_it(
    state: State, services: Settings, minio: Callable[[], Settings]
) -> None:
    state.data("objects").mkdir()
    env = {name: value for name, value in services.items() if name != "MINIO_HOST"}
    settings, _ = await start(state, env, [])
    assert not state.data("minio").exists()
    assert settings["AGENT_MINIO_ACCESS_KEY"] == services["AGENT_MINIO_ACCESS_KEY"]
