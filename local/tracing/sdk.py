"""OpenTelemetry's SDK as the local cloud sets it up: every span is recorded and becomes one plain value."""

import secrets
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from local import xray

_LONGEST_VALUE = 4096


class Ids(IdGenerator):
    """A handler may seed `random`; nobody seeds these. A trace without a parent gets the id that `root` says."""

    root: str | None = None

    def generate_span_id(self) -> int:
        return secrets.randbits(64) or 1

    def generate_trace_id(self) -> int:
        root, self.root = self.root or xray.new_trace_id(), None
        return int(root, 16)


class _Ended(SpanProcessor):
    def __init__(self, ended: Callable[[ReadableSpan], None]) -> None:
        self.on_end = ended  # type: ignore[method-assign,assignment]  # one call less for each span


class Tracer:
    """The spans of one service; `ended` gets each when it is over."""

    def __init__(self, service: str, ended: Callable[[ReadableSpan], None]) -> None:
        self._ids = Ids()
        self.provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": service}),  # Resource.create would ask around for 10 ms
            shutdown_on_exit=False,
            id_generator=self._ids,
            span_limits=SpanLimits(max_attribute_length=_LONGEST_VALUE),
        )
        self.provider.add_span_processor(_Ended(ended))
        self._tracer = self.provider.get_tracer("facet")

    def start(
        self, name: str, kind: str, header: str, attributes: dict[str, Any], *, at: float | None = None
    ) -> trace.Span:
        """A span where an X-Ray header says; `at` is its start, in seconds since 1970."""
        trace_id, parent_id = xray.ids(header)
        context = Context()
        if trace_id and parent_id:
            given = SpanContext(int(trace_id, 16), int(parent_id, 16), True, TraceFlags(TraceFlags.SAMPLED))
            context = trace.set_span_in_context(NonRecordingSpan(given), context)
        self._ids.root = trace_id
        start = None if at is None else int(at * 1e9)
        return self._tracer.start_span(
            name, context, trace.SpanKind[kind.upper()], attributes, start_time=start, record_exception=False
        )


def header_of(span: trace.Span) -> str:
    """The X-Ray header of what is done below this span."""
    at = span.get_span_context()
    return xray.header(f"{at.trace_id:032x}", f"{at.span_id:016x}")


def plain(span: ReadableSpan) -> dict[str, Any]:
    """Times are seconds since 1970, ids lower-case hexadecimal."""
    at = span.get_span_context()
    assert at
    assert span.start_time
    assert span.end_time
    made = {
        "trace_id": f"{at.trace_id:032x}",
        "span_id": f"{at.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": span.resource.attributes["service.name"],
        "start": span.start_time / 1e9,
        "end": span.end_time / 1e9,
        "status": span.status.status_code.name.lower(),
        "attributes": dict(span.attributes or {}),
    }
    if span.links:
        linked = [link.context for link in span.links]
        made["links"] = [{"trace_id": f"{c.trace_id:032x}", "span_id": f"{c.span_id:016x}"} for c in linked]
    return made
