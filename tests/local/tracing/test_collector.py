"""The collector: spans of any program on this machine, and nothing else."""

import asyncio
import gzip
import json
import threading
import zlib
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from local.tracing import otlp
from local.tracing.collector import create_app

PROTOBUF, JSON = {"content-type": "application/x-protobuf"}, {"content-type": "application/json; charset=utf-8"}
SPAN = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "EEE19B7EC3C1B174",
    "parentSpanId": "EEE19B7EC3C1B173",
    "name": "work",
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": "1544712661000000000",
    "kind": 2,
    "attributes": [{"key": "my.flag", "value": {"boolValue": True}}],
    "of a later version": 1,
}


def export(*spans: dict[str, Any]) -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).encode()


def recorded() -> bytes:
    """An export in protobuf as the SDK makes it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "agent"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("t").start_as_current_span("take", kind=SpanKind.CONSUMER) as span:
        span.set_attributes({"count": 3, "names": ["a", "b"], "share": 0.5})
        span.set_status(StatusCode.ERROR)
    body = encode_spans(exporter.get_finished_spans()).SerializeToString()
    assert isinstance(body, bytes)
    return body


class Collector:
    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.app = create_app(self.kept.extend)

    def post(
        self,
        body: bytes,
        headers: dict[str, str],
        *,
        path: str = "/v1/traces",
        method: str = "POST",
        ip: str = "127.0.0.1",
    ) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(ip, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318") as client:
                return await client.request(method, path, content=body, headers=headers)

        return asyncio.run(call())


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.mark.parametrize(
    ("pack", "encoding"), [(bytes, "identity"), (gzip.compress, "gzip"), (zlib.compress, "deflate")]
)
def test_spans_in_protobuf_are_kept(collector: Collector, pack: Any, encoding: str) -> None:
    answer = collector.post(pack(recorded()), {**PROTOBUF, "content-encoding": encoding})
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "application/x-protobuf")
    [span] = collector.kept
    assert (span["service"], span["name"], span["kind"], span["status"]) == ("agent", "take", "consumer", "error")
    assert span["attributes"] == {"count": 3, "names": ["a", "b"], "share": 0.5}
    assert span["parent_id"] is None


def test_spans_in_json_are_kept(collector: Collector) -> None:
    assert collector.post(export(SPAN), JSON).json() == {}
    assert collector.kept == [
        {
            "trace_id": "5b8efff798038103d269b633813fc60c",
            "span_id": "eee19b7ec3c1b174",
            "parent_id": "eee19b7ec3c1b173",
            "name": "work",
            "kind": "server",
            "service": "my.service",
            "start": 1544712660.0,
            "end": 1544712661.0,
            "status": "unset",
            "attributes": {"my.flag": True},
        }
    ]


@pytest.mark.parametrize(
    "body", [b"rubbish", b"{", b"[]", b"5", b'{"resourceSpans": 5}', b'{"resourceSpans": [[]]}', b"\xff"]
)
@pytest.mark.parametrize("headers", [PROTOBUF, JSON], ids=["protobuf", "json"])
def test_rubbish_is_refused(collector: Collector, headers: dict[str, str], body: bytes) -> None:
    answer = collector.post(body, headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "SPANS_MALFORMED")
    assert collector.kept == []


@pytest.mark.parametrize(
    "change",
    [
        {"traceId": "5b8e"},
        {"traceId": "no hexadecimal"},
        {"traceId": 5},
        {"spanId": ""},
        {"parentSpanId": "ee"},
        {"startTimeUnixNano": "0"},
        {"endTimeUnixNano": "1"},
    ],
    ids=str,
)
def test_a_span_without_ids_or_times_is_refused(collector: Collector, change: dict[str, Any]) -> None:
    assert collector.post(export(SPAN, {**SPAN, **change}), JSON).status_code == 400
    assert collector.kept == []


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_what_cannot_be_unpacked_is_refused(collector: Collector, encoding: str) -> None:
    assert collector.post(b"rubbish", {**PROTOBUF, "content-encoding": encoding}).status_code == 400
    assert collector.post(gzip.compress(recorded())[:-9], {**PROTOBUF, "content-encoding": "gzip"}).status_code == 400


def test_what_unpacks_to_very_much_is_refused(collector: Collector) -> None:
    bomb = gzip.compress(bytes(17_000_000))
    assert collector.post(bomb, {**PROTOBUF, "content-encoding": "gzip"}).status_code == 413


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"path": "/v1/metrics"}, 404),
        ({"method": "GET"}, 405),
        ({"headers": {"content-type": "text/plain"}}, 415),
        ({"headers": {**PROTOBUF, "origin": "https://page.test"}}, 403),
        ({"headers": {**PROTOBUF, "host": "page.test"}}, 403),
        ({"ip": "203.0.113.9"}, 403),
    ],
    ids=str,
)
def test_only_exports_of_programs_on_this_machine_are_taken(
    collector: Collector, options: dict[str, Any], status: int
) -> None:
    assert collector.post(recorded(), **{"headers": PROTOBUF, **options}).status_code == status
    assert collector.kept == []


def test_the_other_requests_of_the_stack_do_not_wait_for_an_export(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "spans", lambda body, as_json: [{"thread": threading.current_thread()}])
    assert collector.post(export(SPAN), JSON).status_code == 200
    assert collector.kept != [{"thread": threading.main_thread()}]
