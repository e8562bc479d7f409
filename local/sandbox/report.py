"""The facts of one invocation, and the lines Lambda prints about it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Import:
    module: str
    ms: float


@dataclass(frozen=True)
class Report:
    request_id: str
    duration_ms: float
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    """How long the environment took to start; None when it was warm."""
    status: str = "success"
    error_type: str | None = None
    imports: tuple[Import, ...] = ()
    """When it was cold: what each top-level package took, slowest first."""
    calls: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Where it was traced: how often it used sql, aws, amqp or http, and the milliseconds that took."""
    cpu_ms: float | None = None
    """Of the processor, for this event; None when the sandbox ended before it could say."""

    @property
    def cold(self) -> bool:
        return self.init_ms is not None

    @property
    def billed_ms(self) -> int:
        """Whole milliseconds; the initialisation is billed too."""
        return math.ceil(self.duration_ms + (self.init_ms or 0.0))

    def __str__(self) -> str:
        parts = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_ms} ms",
            f"Memory Size: {self.memory_mb} MB",
            f"Max Memory Used: {self.max_memory_mb} MB",
        ]
        if self.init_ms is not None:
            parts.append(f"Init Duration: {self.init_ms:.2f} ms")
        if self.status != "success":
            parts.append(f"Status: {self.status}")
        if self.error_type:
            parts.append(f"Error Type: {self.error_type}")
        return "\t".join([*parts, *self._beyond_lambda()])

    def _beyond_lambda(self) -> Iterator[str]:
        """What no cloud tells."""
        if self.cpu_ms is not None:
            yield f"CPU: {self.cpu_ms:.2f} ms"
        yield from (f"{kind.upper()}: {count} in {ms:.2f} ms" for kind, (count, ms) in self.calls.items())
        if slow := [f"{each.module} {each.ms:.0f} ms" for each in self.imports[:3] if each.ms >= 1]:
            yield f"Imports: {', '.join(slow)}"


def start_line(request_id: str) -> str:
    return f"START RequestId: {request_id} Version: $LATEST"


def end_line(request_id: str) -> str:
    return f"END RequestId: {request_id}"
