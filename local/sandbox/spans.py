"""The spans of a sandbox: the SDK as the AWS distribution's layer sets it up; what ended leaves after each event."""

import json
from collections.abc import Mapping
from typing import Any

from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan

from local.tracing.sdk import Tracer, plain

_MOST = 1000  # of one event
_SYSTEMS = {"db.system.name": "sql", "db.system": "sql", "rpc.method": "aws", "messaging.system": "amqp"}


class Spans:
    """Made before the handler is imported; OTEL_SDK_DISABLED=true turns it off."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._ended: list[ReadableSpan] = []
        self._tracer = Tracer(function, self._end)
        self._cold = True
        trace.set_tracer_provider(self._tracer.provider)

    def _end(self, span: ReadableSpan) -> None:
        if len(self._ended) < _MOST:
            self._ended.append(span)

    def begin(self, header: Mapping[str, Any]) -> None:
        """The server span of an invocation, for the handler to find as the current one."""
        attributes = {"faas.invocation_id": header["request_id"], "faas.coldstart": self._cold}
        self._cold = False
        self._span = self._tracer.start(self._function, "server", header["trace"], attributes)
        self._token = context.attach(trace.set_span_in_context(self._span))

    def finish(self, error: bytes | None) -> dict[str, tuple[int, float]]:
        """Ends it; the number of calls the handler made of each kind, and their milliseconds together."""
        context.detach(self._token)
        if error is not None:
            self._span.set_attribute("error.type", str(json.loads(error).get("errorType")))
            self._span.set_status(trace.StatusCode.ERROR)
        calls: dict[str, tuple[int, float]] = {}
        for span in self._ended:
            if span.kind in (trace.SpanKind.CLIENT, trace.SpanKind.PRODUCER) and span.attributes:
                system = next((kind for name, kind in _SYSTEMS.items() if name in span.attributes), "http")
                count, spent = calls.get(system, (0, 0.0))
                calls[system] = (count + 1, spent + ((span.end_time or 0) - (span.start_time or 0)) / 1e6)
        self._span.end()
        return calls

    def taken(self) -> bytes:
        """What has ended, as JSON, once."""
        spans, self._ended = self._ended, []
        return json.dumps([plain(span) for span in spans], default=str).encode()


def start(environment: Mapping[str, str]) -> Spans | None:
    """None where the function wants no tracing."""
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return None if disabled else Spans(environment["AWS_LAMBDA_FUNCTION_NAME"])
