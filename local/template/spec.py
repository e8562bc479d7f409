"""What a template says of each function: code, limits, environment and what invokes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

RouteKind = Literal["http", "rest"]


@dataclass(frozen=True)
class Cors:
    """Who may call from a browser; the same keys on function URLs and on APIs."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int | None = None
    allow_credentials: bool = False


@dataclass(frozen=True)
class FunctionUrl:
    auth_type: str = "NONE"
    cors: Cors | None = None


@dataclass(frozen=True)
class Route:
    """A method and a path of an API. `kind` decides the event: HTTP APIs send payload 2.0, REST APIs 1.0."""

    function: str
    method: str
    path: str
    kind: RouteKind = "http"
    cors: Cors | None = None

    @property
    def key(self) -> str:
        return "$default" if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True)
class QueueMapping:
    """An event source mapping from a RabbitMQ queue."""

    name: str
    function: str
    queue: str
    broker_arn: str
    batch_size: int = 100
    window_seconds: float = 0.5
    filters: tuple[str, ...] = ()
    """Patterns of which a message has to match one; none lets every message pass."""
    enabled: bool = True


@dataclass(frozen=True)
class Schedule:
    name: str
    function: str
    expression: str
    timezone: str = "UTC"
    input: Any = None
    source: Literal["aws.events", "aws.scheduler"] = "aws.events"
    enabled: bool = True


@dataclass(frozen=True)
class Asynchronous:
    """What becomes of an event nobody waits for; destinations are functions of the template."""

    retries: int = 2
    max_age: float = 21_600.0
    """Seconds."""
    on_failure: str | None = None
    on_success: str | None = None


@dataclass(frozen=True)
class FunctionSpec:
    name: str
    logical_id: str
    handler: str
    module: str
    """The unique name its handler module gets, as in `functions.create_task.handler`."""
    code: Path
    layers: tuple[Path, ...] = ()
    timeout: float = 3.0
    memory: int = 128
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    reserved_concurrency: int | None = None
    provisioned_concurrency: int = 0
    """How many sandboxes have imported it before the first event."""
    ephemeral_storage: int = 512
    """The size of its /tmp in MB."""
    url: FunctionUrl | None = None
    routes: tuple[Route, ...] = ()
    queues: tuple[QueueMapping, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    asynchronous: Asynchronous = Asynchronous()
    alias: str = ""
    """The FunctionName that the template gives it."""
    clears_records: bool = False
    """Whether the records of all invocations are erased when it succeeded: it erases somebody's data."""

    @property
    def host(self) -> str:
        """The label of its own address: an underscore is no host name."""
        return self.name.replace("_", "-")

    @property
    def environment_bytes(self) -> int:
        """The size of its variables as AWS measures it."""
        return len(json.dumps(dict(self.environment), separators=(",", ":"), ensure_ascii=False).encode())

    @property
    def program(self) -> tuple[object, ...]:
        """What a sandbox starts with: when it differs, those that run are out of date."""
        sizes = self.timeout, self.memory, self.ephemeral_storage
        return self.handler, self.module, self.code, self.layers, self.environment, sizes
