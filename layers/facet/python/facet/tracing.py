"""OpenTelemetry spans of what a function does, where its runtime has set up the SDK; elsewhere nothing, at no cost.

The AWS distribution's Lambda layer sets it up, and so does the local cloud. Attributes have the names of the semantic
conventions; secrets and the parameters of statements are never among them.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Tracer

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool]


@contextmanager
def span(name: str, kind: Kind, attributes: Attributes, *, parent: object = None) -> Iterator[None]:
    """What happens inside, as a span below the one at work.

    `parent` is the `traceparent` that came with what is done: where it is of another trace, the span belongs there and
    links to the one at work. A refusal, which has a status below 500, names its type and is no error.
    """
    tracer = _tracer()
    if tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind, StatusCode

    context, links = _place(parent)
    with tracer.start_as_current_span(
        name, context, SpanKind[kind.upper()], attributes, links, record_exception=False, set_status_on_exception=False
    ) as made:
        try:
            yield
        except Exception as error:
            made.set_attribute("error.type", type(error).__name__)
            if getattr(error, "status", 500) >= 500:
                made.set_status(StatusCode.ERROR)
            raise


def invocation(name: str, request_id: str, parent: object) -> AbstractContextManager[None]:
    """The span of an invocation, where the runtime has not begun one itself."""
    if _tracer() is None or current() is not None:
        return nullcontext()
    return span(name, "server", {"faas.invocation_id": request_id}, parent=parent)


def message(operation: str, queue: str, message_id: str | None, conversation_id: str | None) -> Attributes:
    """A message as the attributes of a span."""
    named = {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": message_id,
        "messaging.message.conversation_id": conversation_id,
    }
    return {name: value for name, value in named.items() if value}


def note(attributes: Attributes) -> None:
    """Say more about the span at work."""
    if _tracer() is not None:
        from opentelemetry import trace

        trace.get_current_span().set_attributes(attributes)


def current() -> str | None:
    """The `traceparent` of the span at work, to be sent along; None where nothing is traced."""
    if _tracer() is None:
        return None
    from opentelemetry import trace

    at = trace.get_current_span().get_span_context()
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags & 1:02x}" if at.is_valid else None


def _tracer() -> "Tracer | None":
    return _made() if "opentelemetry.sdk.trace" in sys.modules else None


@lru_cache(maxsize=1)
def _made() -> "Tracer":
    from opentelemetry import trace

    return trace.get_tracer("facet")


def _place(parent: object) -> "tuple[Context | None, list[Link]]":
    """The context of a new span, None for the one at work, and its links."""
    if not isinstance(parent, str):
        return None, []
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    at_work = trace.get_current_span().get_span_context()
    context = TraceContextTextMapPropagator().extract({"traceparent": parent})
    came_with = trace.get_current_span(context).get_span_context()
    if not came_with.is_valid or came_with.trace_id == at_work.trace_id:
        return None, []
    return context, [trace.Link(at_work)] if at_work.is_valid else []
