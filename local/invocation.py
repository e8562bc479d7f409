"""One call of a function: what it may hold, what came of it, and who can make one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local.sandbox.how import How
from local.sandbox.report import Report
from local.template import MOST_ENVIRONMENT_BYTES


@dataclass(frozen=True)
class Limits:
    """Bytes. Base64 makes a binary body a third bigger as an event."""

    request_body: int
    event: int
    response: int
    environment: int


LIMITS = {
    "local": Limits(request_body=11_534_336, event=20_971_520, response=20_971_520, environment=131_072),
    "lambda": Limits(request_body=6_291_456, event=6_291_456, response=6_291_556, environment=MOST_ENVIRONMENT_BYTES),
}


@dataclass(frozen=True)
class Invocation:
    """A finished call. `payload` is the result, or the error object when `function_error` is set."""

    request_id: str
    function: str
    payload: bytes
    function_error: str | None
    log: str
    report: Report
    event: bytes = b""
    source: str = "invoke"
    """Who called: http, queue, schedule, edge or invoke (the command line)."""
    trace: str = ""
    """The X-Ray trace header it ran with."""
    started: float = 0.0
    """When the event was accepted, in seconds since 1970."""
    began: float = 0.0
    """When the handler got it, by its own clock; 0 when it never did. What a replay freezes the clock to."""

    def json(self) -> Any:
        """The result, or the error object, decoded."""
        return json.loads(self.payload)


class Invokes(Protocol):
    """What the gateway, the edge and others need of an invoker."""

    limits: Limits

    async def invoke(
        self,
        name: str,
        event: Mapping[str, Any] | bytes,
        *,
        request_id: str | None = None,
        trace: str | None = None,
        source: str = "invoke",
        how: How = ...,
    ) -> Invocation:
        """What the function makes of the event."""
        raise NotImplementedError
