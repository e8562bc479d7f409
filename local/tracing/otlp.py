"""Spans as OTLP sends them, in protobuf or JSON, as our own."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import (  # type: ignore[import-untyped] # it ships no types
    ParseDict,
    ParseError,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # as above
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")
_IDS = ("traceId", "spanId", "parentSpanId")


class Malformed(Exception):
    """The body is no export of spans; the text says why."""


def spans(body: bytes, *, as_json: bool) -> list[dict[str, Any]]:
    """Raises Malformed."""
    try:
        export = _from_json(body) if as_json else ExportTraceServiceRequest.FromString(body)
    except (DecodeError, ParseError, ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise Malformed(f"The body is no ExportTraceServiceRequest: {exc}") from exc
    return [
        _plain(span, _service(group.resource.attributes))
        for group in export.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _from_json(body: bytes) -> ExportTraceServiceRequest:
    """OTLP writes ids in hexadecimal, where protobuf's own JSON has base64."""
    export = json.loads(body)
    for group in export.get("resourceSpans", ()):
        for scope in group.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                links = span.get("links", ())
                for holder in (span, *links):
                    for name in _IDS:
                        if name in holder:
                            holder[name] = base64.b64encode(bytes.fromhex(holder[name])).decode()
    found = ExportTraceServiceRequest()
    ParseDict(export, found, ignore_unknown_fields=True)
    return found


def _plain(span: Span, service: str) -> dict[str, Any]:
    if len(span.trace_id) != 16 or len(span.span_id) != 8 or len(span.parent_span_id) not in (0, 8):
        raise Malformed("A span needs a trace id of 16 bytes and a span id of 8.")
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
        raise Malformed("A span needs a start, and an end that is no earlier.")
    plain: dict[str, Any] = {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_id": span.parent_span_id.hex() or None,
        "name": span.name,
        "kind": _KINDS[span.kind] if span.kind < len(_KINDS) else "internal",
        "service": service,
        "start": span.start_time_unix_nano / 1e9,
        "end": span.end_time_unix_nano / 1e9,
        "status": _STATUSES[span.status.code] if span.status.code < len(_STATUSES) else "unset",
        "attributes": _attributes(span.attributes),
    }
    if span.links:
        plain["links"] = [{"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()} for link in span.links]
    return plain


def _service(attributes: Iterable[KeyValue]) -> str:
    return str(_attributes(attributes).get("service.name", "unknown_service"))


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_value(part) for part in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case "bytes_value":
            return value.bytes_value.hex()
        case None:
            return None
        case kind:
            return getattr(value, kind)
