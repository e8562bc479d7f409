"""The commands of compose.yaml against servers elsewhere: migrate, functions and triggers, each alone."""

import secrets
from pathlib import Path

import httpx
import pika  # type: ignore[import-untyped] # pika ships no py.typed
import pytest

from tests.infra.containers import environment, facet, running

Settings = dict[str, str]


@pytest.fixture
def container(tmp_path: Path, migrated: Settings) -> dict[str, str]:
    return environment(migrated, tmp_path)


@pytest.fixture
def migrating(container: dict[str, str]) -> dict[str, str]:
    """The environment of the one that makes the agent's user: the broker does not know it yet."""
    user, password = f"agent-{secrets.token_hex(4)}", secrets.token_hex(8)
    return {**container, "AGENT_RABBITMQ_USER": user, "AGENT_RABBITMQ_PASSWORD": password}


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
        assert httpx.get(f"{status['gateway']}/health/ready", timeout=30).json() == {"status": "ready"}


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
