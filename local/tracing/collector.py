"""Where any process on this machine may send its spans: OTLP over HTTP, `POST /v1/traces`."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from local.cloud import listen
from local.cloud.state import State
from local.events import HttpResponse
from local.gateway.incoming import BodyTooLarge, Disconnected, Incoming, Receive, Scope, Send
from local.gateway.replies import Answered, problem, send_response
from local.tracing import otlp
from local.tracing.cloud import Application

Keep = Callable[[list[dict[str, Any]]], None]

_LIMIT = 16_000_000
_JSON, _PROTOBUF = "application/json", "application/x-protobuf"
_DONE = {_JSON: b"{}", _PROTOBUF: ExportTraceServiceResponse().SerializeToString()}


@contextlib.asynccontextmanager
async def collecting(state: State, keep: Keep, report: Callable[[str], None]) -> AsyncIterator[str]:
    """Collects on loopback while the block runs; what OTEL_EXPORTER_OTLP_ENDPOINT has to be."""
    port = state.port("otlp")
    async with listen.serving(create_app(keep), listen.sockets(state, listen.LOOPBACK, port, report)):
        yield f"http://{listen.LOOPBACK}:{port}"


def create_app(keep: Keep) -> Application:
    """The collector without sockets. A web page, or another machine, has nothing to tell it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        incoming = Incoming(scope, receive)
        try:
            response = await _collected(incoming, keep)
        except Answered as answer:
            response = answer.response
        except Disconnected:
            return
        await send_response(incoming, response, send)

    return serve


async def _collected(incoming: Incoming, keep: Keep) -> HttpResponse:
    if not incoming.is_local or "origin" in incoming.headers:
        raise problem(403, "Forbidden", "Only programs on this machine may send spans.", "NOT_LOCAL")
    if incoming.path != "/v1/traces":
        raise problem(404, "Not Found", "Spans go to /v1/traces; nothing else is collected.", "NOT_FOUND")
    if incoming.method != "POST":
        raise problem(405, "Method Not Allowed", "Spans are sent by POST.", "METHOD_NOT_ALLOWED")
    kind = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _DONE:
        raise problem(415, "Unsupported Media Type", f"Send {_PROTOBUF} or {_JSON}.", "MEDIA_TYPE_UNKNOWN")
    try:
        body = _unpacked(await incoming.body(_LIMIT), incoming.headers.get("content-encoding", "identity"))
        keep(await asyncio.to_thread(otlp.spans, body, as_json=kind == _JSON))  # requests do not wait for megabytes
    except BodyTooLarge as exc:
        raise problem(413, "Content Too Large", f"Send at most {_LIMIT} bytes.", "BODY_TOO_LARGE") from exc
    except otlp.Malformed as exc:
        raise problem(400, "Bad Request", str(exc), "SPANS_MALFORMED") from exc
    return HttpResponse(200, (("content-type", kind),), (), _DONE[kind])


def _unpacked(body: bytes, encoding: str) -> bytes:
    """Raises Malformed and BodyTooLarge: a few bytes may unpack to very many."""
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "deflate"):
        raise otlp.Malformed(f"There is no content encoding {encoding[:40]}.")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # finds out which of the two it is
    try:
        unpacked = unpacking.decompress(body, _LIMIT)
    except zlib.error as exc:
        raise otlp.Malformed(f"The body is no {encoding}: {exc}") from exc
    if unpacking.unconsumed_tail:
        raise BodyTooLarge
    if not unpacking.eof:
        raise otlp.Malformed(f"The body ends in the middle of its {encoding}.")
    return unpacked
