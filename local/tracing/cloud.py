"""What the cloud itself knows of a trace: requests, messages, cold starts, invocations that ended too soon to tell."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from local import xray
from local.gateway.incoming import Receive, Scope, Send
from local.invocation import Invocation
from local.records.ring import Ring
from local.tracing.sdk import Tracer, header_of, plain

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_MOMENT = 0.1  # seconds
_OFTEN = 60.0  # seconds
_SCHEDULES = 256
_TRIGGERS = {"http": "http", "queue": "pubsub", "schedule": "timer"}
_UNTOLD = frozenset({"Runtime.ExitError", "Sandbox.Timedout"})


class Tracing:
    """Hands all spans of a stack on to a ring: those of requests, of sandboxes, and of what sandboxes cannot tell.

    They wait a moment: no request is to wait while those before it are written down.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._tracers: dict[str, Tracer] = {}
        self._waiting: list[ReadableSpan | bytes] = []
        self._kept: dict[str, float] = {}
        self._dull: deque[str] = deque(maxlen=_SCHEDULES)

    def spans(self, function: str, spans: bytes) -> None:
        """What a sandbox told, as JSON."""
        self._keep(spans)

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            size = sum(len(item) if isinstance(item, bytes) else 500 for item in waiting)
            self._ring.spans(_plain(waiting, frozenset(self._dull)), size=size)

    def _keep(self, told: ReadableSpan | bytes) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_later(_MOMENT, self.flush)
        self._waiting.append(told)

    def requests(self, app: Application) -> Application:
        """The application with its requests as server spans; they go on as X-Amzn-Trace-Id, as a load balancer's do."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            span = self._tracer("gateway").start(
                f"{scope['method']} {scope['path']}",
                "server",
                _header(dict(scope["headers"])),
                {"http.request.method": scope["method"], "url.path": scope["path"]},
            )
            headers = [item for item in scope["headers"] if item[0] != b"x-amzn-trace-id"]
            headers.append((b"x-amzn-trace-id", header_of(span).encode()))

            async def answer(message: Any) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await app({**scope, "headers": headers}, receive, answer)
            finally:
                span.end()

        return serve

    def note(self, done: Invocation) -> None:
        """The start of a sandbox, and an invocation that ended with its sandbox.

        Schedules run all day long: of each function's uneventful runs one a minute is kept.
        """
        if 0 < done.began < done.started:  # its clock stood still
            return
        if done.source == "schedule" and not done.function_error:
            if done.started < self._kept.get(done.function, 0.0) + _OFTEN:
                self._dull.append(xray.ids(done.trace)[0] or "")
                return
            self._kept[done.function] = done.started
        report, end = done.report, done.started + done.report.duration_ms / 1000
        if report.cold or not done.began:
            began = done.began or end
            start = began - report.init_ms / 1000 if report.init_ms else done.started
            self._made(done, "start of a sandbox", "internal", start, began, None if done.began else report.error_type)
        if done.began and report.error_type in _UNTOLD:
            end = done.began + report.duration_ms / 1000
            self._made(done, done.function, "server", done.began, end, report.error_type)

    def _made(self, done: Invocation, name: str, kind: str, start: float, end: float, error: str | None) -> None:
        named = {"faas.invocation_id": done.request_id, "faas.trigger": _TRIGGERS.get(done.source, "other")}
        span = self._tracer(done.function).start(name, kind, done.trace, named, at=start)
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end(int(end * 1e9))

    def _tracer(self, service: str) -> Tracer:
        if service not in self._tracers:
            self._tracers[service] = Tracer(service, self._keep)
        return self._tracers[service]


def _plain(told: Sequence[ReadableSpan | bytes], dull: Container[str]) -> Iterator[dict[str, Any]]:
    for item in told:
        spans = json.loads(item) if isinstance(item, bytes) else [plain(item)]
        yield from (span for span in spans if span["trace_id"] not in dull)


def continuing(invoke: Callable[..., Awaitable[Invocation]]) -> Callable[..., Coroutine[Any, Any, Invocation]]:
    """`invoke` for messages: in their trace where they are all of one, else in a trace of its own."""

    async def call(name: str, event: Mapping[str, Any] | bytes, /, *, source: str) -> Invocation:
        came_with = [xray.of_traceparent(text) for text in _traceparents(event)] if isinstance(event, Mapping) else []
        one = len({header and xray.ids(header)[0] for header in came_with}) == 1
        return await invoke(name, event, source=source, trace=came_with[0] if one else None)

    return call


def _traceparents(event: Mapping[str, Any]) -> list[str]:
    """One for each message, empty where it has none. Anybody may publish anything."""
    if "rmqMessagesByQueue" in event:
        messages = [message for batch in event["rmqMessagesByQueue"].values() for message in batch]
        return [_text((message["basicProperties"].get("headers") or {}).get("traceparent")) for message in messages]
    return [_text(event.get("traceparent"))]  # a CloudEvent


def _text(header: object) -> str:
    match header:
        case {"bytes": [*numbers]} if all(isinstance(number, int) and 0 <= number < 128 for number in numbers):
            return bytes(numbers).decode()
        case str():
            return header
    return ""


def _header(headers: Mapping[bytes, bytes]) -> str:
    """What a request came with, as X-Amzn-Trace-Id."""
    given = xray.of_traceparent(headers.get(b"traceparent", b"").decode("latin-1"))
    return given or headers.get(b"x-amzn-trace-id", b"").decode("latin-1")
