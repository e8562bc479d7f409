"""The project's RabbitMQ as its operator reaches it: one that `facet up` runs, or that of the settings."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import httpx
import pika  # type: ignore[import-untyped] # pika ships no py.typed
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped] # as above
from pika.adapters.select_connection import SelectConnection  # type: ignore[import-untyped] # as above
from pika.adapters.utils.connection_workflow import AMQPConnectorException  # type: ignore[import-untyped] # as above
from pika.exceptions import AMQPConnectionError, AMQPError, ProbableAccessDeniedError, ProbableAuthenticationError  # type: ignore[import-untyped] # as above

from local.cloud import environment
from local.cloud.project import Project
from local.cloud.state import State
from local.triggers.amqp import Lenient

_NAMES = {"tasks": "RABBITMQ_TASKS_QUEUE", "results": "RABBITMQ_TASKS_RESULTS_QUEUE"}
_SECONDS = 10
_NEXT = "Start it with `facet up --only services`, or check"


class BrokerProblem(Exception):
    """The broker, or what was asked of it, is not there; the text says what to do."""


@dataclass(frozen=True)
class Broker:
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    management: str | None = None
    """URL of the management API, without which nobody can list queues."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Short names of queues, such as `tasks`."""

    @classmethod
    def of(cls, project: Project, state: State) -> "Broker":
        """Short names are those of Facet's own template. Raises BrokerProblem, TemplateError, EnvironmentUnreadable."""
        at = {**environment.DEFAULTS, **environment.effective(project.root)}
        if not at.get("RABBITMQ_HOST"):  # ours, on the ports where it was last
            ports = state.ports()
            if "rabbitmq" not in ports:
                raise BrokerProblem("There has been no RabbitMQ here yet. Start it with `facet up --only services`.")
            at |= {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": str(ports["rabbitmq"])}
            at["RABBITMQ_MANAGEMENT_URL"] = f"http://127.0.0.1:{ports['rabbitmq-management']}"
        if missing := [name for name in ("RABBITMQ_USER", "RABBITMQ_PASSWORD") if not at.get(name)]:
            raise BrokerProblem(f"These settings have no value: {', '.join(missing)}. Put them into .env.")
        declared = project.read().settings
        return replace(cls.by(at), names={short: at[name] for short, name in _NAMES.items() if name in declared})

    @classmethod
    def by(cls, settings: Mapping[str, str]) -> "Broker":
        """The broker of these RABBITMQ_* settings, all of which have a value."""
        return cls(
            settings["RABBITMQ_HOST"],
            int(settings["RABBITMQ_PORT"]),
            settings["RABBITMQ_USER"],
            settings["RABBITMQ_PASSWORD"],
            settings["RABBITMQ_VHOST"],
            settings.get("RABBITMQ_MANAGEMENT_URL"),
        )

    def parameters(self, **limits: float) -> pika.ConnectionParameters:
        """Of a connection; `limits` are further ones, in seconds."""
        account = pika.PlainCredentials(self.user, self.password)
        return pika.ConnectionParameters(self.host, self.port, self.vhost, account, **limits)

    @contextlib.contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """A channel with confirms; at the end what is not acked goes back to its queue. Raises BrokerProblem."""
        parameters = self.parameters(
            socket_timeout=_SECONDS, stack_timeout=_SECONDS, blocked_connection_timeout=_SECONDS
        )
        with self._translated(), pika.BlockingConnection(parameters, _impl_class=_Connection) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel

    def ask(self, path: str) -> Any:
        """What the management API says of something in the virtual host; None without one. Raises BrokerProblem."""
        if self.management is None:
            return None
        url = f"{self.management}/api/{path.format(vhost=quote(self.vhost, safe=''))}"
        try:
            answer = httpx.get(url, auth=(self.user, self.password), timeout=_SECONDS, trust_env=False)
            return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().json()
        except httpx.HTTPError as exc:
            said = f"RabbitMQ's management API at {self.management} cannot be used: {exc}."
            raise BrokerProblem(f"{said} {_NEXT} RABBITMQ_MANAGEMENT_URL.") from exc

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (ProbableAuthenticationError, ProbableAccessDeniedError) as exc:
            raise BrokerProblem(
                f"RabbitMQ at {self.host}:{self.port} lets {self.user} not into {self.vhost}. "
                "Check RABBITMQ_USER, RABBITMQ_PASSWORD and RABBITMQ_VHOST."
            ) from exc
        except (AMQPConnectionError, AMQPConnectorException, OSError) as exc:
            raise BrokerProblem(f"RabbitMQ at {self.host}:{self.port} does not answer. {_NEXT} RABBITMQ_HOST.") from exc
        except AMQPError as exc:
            raise BrokerProblem(f"RabbitMQ at {self.host}:{self.port} refuses: {exc}") from exc


class _Connection(Lenient, SelectConnection):  # type: ignore[misc] # pika is untyped
    pass
