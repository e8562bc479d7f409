"""Old clients in front of one running product, with the secrets each of them owns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from tests.compat import glb, pictures
from tests.compat.frontend import Account, Frontend
from tests.compat.ml_agent import RESULTS, Agent, Broker, Storage
from tests.stacks import Stack, until


@dataclass(frozen=True)
class Deployment:
    """One way to run the product, with an old frontend and an old agent before it."""

    frontend: Frontend
    agent: Agent
    operator: Broker

    def create_task(self, person: Account) -> str:
        return self.frontend.create_task(person.access_token, pictures.photo())

    def status(self, person: Account, request_uuid: str) -> str:
        return str(self.frontend.status(person.access_token, request_uuid).json()["status"])

    def succeeds(self, person: Account, request_uuid: str, model: bytes | None = None) -> str:
        """Waits for SUCCESS and compares the downloaded model; the path of its URL."""
        self.frontend.wait_for(person.access_token, request_uuid, "SUCCESS")
        url: str = self.frontend.result(person.access_token, request_uuid).json()["result_file_path"]
        assert httpx.get(url, trust_env=False).content == (model or glb.triangle())
        return urlsplit(url).path

    def handles_everything_before(self, person: Account) -> None:
        """Results are handled in order: when a task made now has succeeded, nothing published before it waits."""
        barrier = self.create_task(person)
        self.agent.finish(barrier)
        self.frontend.wait_for(person.access_token, barrier, "SUCCESS")

    def dead_letter(self, body: bytes) -> dict[str, object]:
        """Waits for a body on the dead-letter queue of results, takes it off and gives its headers."""
        connection = self.operator.connect()
        channel = connection.channel()

        def found() -> dict[str, object] | None:
            method, properties, dead = channel.basic_get(f"{RESULTS}.dead", auto_ack=True)
            return (properties.headers or {}) if method is not None and dead == body else None

        try:
            headers: dict[str, object] = until(found, within=20, what=f"{body!r} on {RESULTS}.dead")
            return headers
        finally:
            connection.close()


@contextmanager
def agent_of(stack: Stack, *, declares: bool) -> Iterator[Agent]:
    settings = stack.settings()
    storage = Storage(
        stack.services["objects"]["url"],
        settings["AGENT_MINIO_ACCESS_KEY"],
        settings["AGENT_MINIO_SECRET_KEY"],
    )
    agent = Agent(broker_of(stack, user="AGENT_RABBITMQ"), storage, declares=declares)
    try:
        yield agent
    finally:
        agent.close()


def broker_of(stack: Stack, *, user: str) -> Broker:
    """The broker for the user whose name and password the .env has under `user`."""
    settings, broker = stack.settings(), stack.services["rabbitmq"]
    return Broker(
        broker["host"], int(broker["port"]), broker["vhost"], settings[f"{user}_USER"], settings[f"{user}_PASSWORD"]
    )
