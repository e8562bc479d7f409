"""The commands of compose.yaml against servers elsewhere: migrate, functions and triggers, each alone."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pika  # type: ignore[import-untyped] # pika ships no py.typed
import pytest

ROOT = Path(__file__).parents[2]
Settings = dict[str, str]


@pytest.fixture
def container(tmp_path: Path, migrated: Settings) -> dict[str, str]:
    """The environment of a container: addresses and secrets, but the agent's, and no .env."""
    ours = {name: value for name, value in migrated.items() if not name.startswith("AGENT_")}
    place = {"FACET_STATE": str(tmp_path / "state"), "FACET_ENV_FILE": str(tmp_path / "none"), "APP_PORT": "0"}
    return {"PATH": os.environ["PATH"], **ours, **place}


@pytest.fixture
def migrating(container: dict[str, str]) -> dict[str, str]:
    """The environment of the one that makes the agent's user: the broker does not know it yet."""
    user, password = f"agent-{secrets.token_hex(4)}", secrets.token_hex(8)
    return {**container, "AGENT_RABBITMQ_USER": user, "AGENT_RABBITMQ_PASSWORD": password}


def facet(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def running(environment: dict[str, str], part: str) -> Iterator[dict[str, Any]]:
    """`facet up --only PART` in the foreground, as a container runs it; its status."""
    command = [sys.executable, "-m", "local", "up", "--only", part]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 30
        while (status := facet(environment, "status", "--json")).returncode != 0:
            assert process.poll() is None, process.stdout and process.stdout.read().decode()
            assert time.monotonic() < deadline, status.stdout
        yield json.loads(status.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output


def test_migrate_gives_the_broker_an_agents_user(migrating: dict[str, str]) -> None:
    for _ in range(2):  # safe to run again
        result = facet(migrating, "up", "--only", "migrate")
        assert result.returncode == 0, result.stdout + result.stderr
    account = pika.PlainCredentials(migrating["AGENT_RABBITMQ_USER"], migrating["AGENT_RABBITMQ_PASSWORD"])
    at = (migrating["RABBITMQ_HOST"], int(migrating["RABBITMQ_PORT"]), migrating["RABBITMQ_VHOST"], account)
    with pika.BlockingConnection(pika.ConnectionParameters(*at)) as connection:
        channel = connection.channel()
        channel.queue_declare("generation_tasks", passive=True)
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            channel.queue_declare("something_else")


def test_functions_alone_serve_the_api(container: dict[str, str]) -> None:
    with running(container, "functions") as status:
        assert status["services"] == {}
        assert httpx.get(f"{status['gateway']}/health/ready").json() == {"status": "ready"}


def test_triggers_alone_are_ready_and_have_no_address(container: dict[str, str]) -> None:
    with running(container, "triggers") as status:
        assert status["ready"]
        assert "gateway" not in status


def test_a_server_that_is_not_there_is_named(migrating: dict[str, str]) -> None:
    result = facet({**migrating, "POSTGRES_PORT": "9"}, "up", "--only", "migrate")
    assert result.returncode == 1
    assert "POSTGRES_HOST and POSTGRES_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_setting_is_named_and_no_value_is_shown(container: dict[str, str]) -> None:
    given = {name: value for name, value in container.items() if name != "MINIO_SECRET_KEY"}
    result = facet(given, "up", "--only", "functions")
    assert result.returncode == 1
    assert "MINIO_SECRET_KEY" in result.stderr
    assert container["POSTGRES_PASSWORD"] not in result.stdout + result.stderr
