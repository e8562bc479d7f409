"""What the agent does with a task, as spans below the message's, sent where OTEL_EXPORTER_OTLP_ENDPOINT says.

Without it nothing is recorded, and messages keep the `traceparent` they came with.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SERVICE = "agent"
DELAY_MS = 200  # who watches a task wants to see what it did
TIMEOUT = 2  # seconds; a collector that is away holds up nothing

_w3c = TraceContextTextMapPropagator()


def start(environment: Mapping[str, str]) -> Callable[[], None]:
    """Record and send from now on; what it returns sends the last ones."""
    endpoint = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it repeats that nobody collects
    provider = TracerProvider(resource=Resource({"service.name": SERVICE}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=DELAY_MS))
    trace.set_tracer_provider(provider)
    return provider.shutdown


@contextmanager
def message(
    operation: str, queue: str, headers: Mapping[str, object], task: str
) -> Iterator[tuple[Span, dict[str, object]]]:
    """A message that is processed or sent, below what its headers name; and the headers for what follows from it."""
    kind = SpanKind.CONSUMER if operation == "process" else SpanKind.PRODUCER
    named = {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.conversation_id": task,
    }
    given = {name: value for name, value in headers.items() if isinstance(value, str)}
    with _tracer().start_as_current_span(f"{operation} {queue}", _w3c.extract(given, Context()), kind, named) as span:
        carried = dict(headers)
        if span.is_recording():
            _w3c.inject(carried, trace.set_span_in_context(span, Context()))
        yield span, carried


class Stages:
    """One span after the other below the current one."""

    def __init__(self) -> None:
        self._span: Span = trace.INVALID_SPAN

    def begin(self, name: str) -> None:
        self.end()
        self._span = _tracer().start_span(name)

    def end(self) -> None:
        if self._span.is_recording():
            self._span.end()


def fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _tracer() -> trace.Tracer:
    return trace.get_tracer("local.agent")
