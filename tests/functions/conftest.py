"""What tests of functions need beside the servers: photos, models, queues and the agent's side of S3."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from local.testing import Local
from tests import media
from tests.conftest import Settings
from tests.functions import api
from tests.infra.aws_roles import Watch
from tests.servers import postgres


@pytest.fixture(autouse=True)
def _fresh(clean: Settings, project: Local, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Empty tables and queues, and no connection warm from settings of another test."""
    api.local = project
    yield
    from facet import broker

    broker.close()


@pytest.fixture(scope="session")
def roles(project: Local) -> Watch:
    return Watch(project.settings)


@pytest.fixture(autouse=True)
def _within_its_role(roles: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """No function does to S3 in any test what its role on AWS would not let it do."""
    roles.install(monkeypatch)


@pytest.fixture
def photo() -> bytes:
    return media.photo()


@pytest.fixture
def model() -> bytes:
    return media.model()


@pytest.fixture
def sql(clean: Settings) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection of the test itself; every statement commits."""
    with postgres(clean, autocommit=True) as connection:
        yield connection


class Queue:
    """The test's view of the broker: what lies in a queue."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def take(self, queue: str) -> list[tuple[bytes, Any]]:
        """All messages of a queue, taken off it: bodies and properties."""
        import pika  # type: ignore[import-untyped]  # pika ships no types

        credentials = pika.PlainCredentials(self.settings["RABBITMQ_USER"], self.settings["RABBITMQ_PASSWORD"])
        parameters = pika.ConnectionParameters(
            self.settings["RABBITMQ_HOST"],
            int(self.settings["RABBITMQ_PORT"]),
            self.settings["RABBITMQ_VHOST"],
            credentials,
        )
        with pika.BlockingConnection(parameters) as connection:
            channel, taken = connection.channel(), []
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                taken.append((got[2], got[1]))
            return taken


@pytest.fixture
def queue(clean: Settings) -> Queue:
    return Queue(clean)
