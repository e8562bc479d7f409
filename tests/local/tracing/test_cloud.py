"""What the cloud tells of requests, messages and sandboxes, and which trace they belong to."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.events import RmqMessage, message_event
from local.gateway.incoming import Receive, Scope, Send
from local.invocation import Invocation
from local.records.ring import Ring
from local.sandbox.report import Report
from local.tracing.cloud import Tracing, continuing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{SPAN}-01"
HEADER = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"
NOW = time.time()


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path / "ring.db")


def told(ring: Ring, work: Callable[[Tracing], Awaitable[object]], trace: str = "") -> list[dict[str, Any]]:
    """The spans of the newest trace that begins so, after the work."""

    async def run() -> None:
        tracing = Tracing(ring)
        await work(tracing)
        tracing.flush()

    asyncio.run(run())
    try:
        return ring.trace(trace)
    finally:
        ring.close()


# ---- requests


async def request(tracing: Tracing, headers: dict[str, str], status: int = 200) -> list[str]:
    """The X-Amzn-Trace-Id headers with which a request arrives at the application."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(value.decode() for name, value in scope["headers"] if name == b"x-amzn-trace-id")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with httpx.AsyncClient(transport=httpx.ASGITransport(tracing.requests(app))) as client:
        await client.get("http://localhost/tasks?password=hunter2", headers=headers)
    return seen


@pytest.mark.parametrize(
    "headers",
    [{"traceparent": GIVEN}, {"x-amzn-trace-id": HEADER}, {"traceparent": GIVEN, "x-amzn-trace-id": "Root=1-0-0"}],
    ids=["W3C", "AWS", "both"],
)
def test_a_request_continues_the_trace_it_came_with(ring: Ring, headers: dict[str, str]) -> None:
    arrived: list[str] = []

    async def work(tracing: Tracing) -> None:
        arrived.extend(await request(tracing, headers))

    [span] = told(ring, work)
    assert (span["trace_id"], span["parent_id"]) == (TRACE, SPAN)
    assert (span["service"], span["name"], span["kind"], span["status"]) == ("gateway", "GET /tasks", "server", "unset")
    assert span["attributes"] == {
        "http.request.method": "GET",
        "url.path": "/tasks",
        "http.response.status_code": 200,
    }
    assert arrived == [f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={span['span_id']};Sampled=1"]


@pytest.mark.parametrize("given", ["", "no traceparent", f"00-{'0' * 32}-{SPAN}-01"])
def test_a_request_with_no_trace_begins_one(ring: Ring, given: str) -> None:
    [span] = told(ring, lambda tracing: request(tracing, {"traceparent": given}))
    assert span["parent_id"] is None
    assert abs(int(span["trace_id"][:8], 16) - time.time()) < 60


def test_only_what_the_server_fails_at_is_an_error(ring: Ring) -> None:
    async def work(tracing: Tracing) -> None:
        for status in (404, 500, 502):
            await request(tracing, {"traceparent": GIVEN}, status)

    assert [span["status"] for span in told(ring, work)] == ["unset", "error", "error"]


# ---- messages


def batch(*traceparents: object) -> dict[str, Any]:
    headers = [{"traceparent": text} if text is not None else None for text in traceparents]
    return {"rmqMessagesByQueue": {"results::/": [{"basicProperties": {"headers": each}} for each in headers]}}


def text(traceparent: str) -> dict[str, list[int]]:
    return {"bytes": list(traceparent.encode())}


OTHER = GIVEN.replace("4bf9", "5bf9")


@pytest.mark.parametrize(
    ("event", "header"),
    [
        (batch(text(GIVEN)), HEADER),
        (batch(text(GIVEN), text(GIVEN.replace(SPAN, "1" * 16))), HEADER),
        (batch(text(GIVEN), text(OTHER)), None),
        (batch(text(GIVEN), None), None),
        (batch(None), None),
        (batch(5), None),
        (batch({"a": 1}), None),
        (message_event("results", "consume", RmqMessage(b"{}", {"headers": {"traceparent": GIVEN}})), HEADER),
        (batch({"bytes": [255, 254]}), None),
        (batch({"bytes": [999, "a"]}), None),
        (batch({"bytes": {"bytes": [1]}}), None),
        ({"specversion": "1.0", "headers": "none"}, None),
        ({}, None),
        (b"{}", None),
    ],
    ids=[
        "one",
        "two of one trace",
        "of two traces",
        "one without",
        "none",
        "number",
        "table",
        "cloudevent",
        "no text",
        "no bytes",
        "nested table",
        "cloudevent with headers of its own",
        "{}",
        "bytes",
    ],
)
def test_messages_of_one_trace_are_taken_in_it(event: dict[str, Any] | bytes, header: str | None) -> None:
    given: dict[str, Any] = {}

    async def invoke(name: str, event: Any, **options: Any) -> Invocation:
        given.update(options)
        return done()

    asyncio.run(continuing(invoke)("consume", event, source="queue"))
    assert given == {"source": "queue", "trace": header}


# ---- sandboxes


def done(**changes: Any) -> Invocation:
    """An invocation that took 100 ms, from a second ago on."""
    report = Report(
        "r-1", 100.0, 128, 30, **{name: changes.pop(name) for name in [*changes] if name in Report.__annotations__}
    )
    made = Invocation("r-1", "slow", b"{}", None, "", report, started=NOW - 1, began=NOW - 0.5, trace=HEADER)
    return replace(made, **changes)


def noted(ring: Ring, *invocations: Invocation, trace: str = "") -> list[dict[str, Any]]:
    async def work(tracing: Tracing) -> None:
        for invocation in invocations:
            tracing.note(invocation)

    return told(ring, work, trace)


def test_a_warm_invocation_tells_all_by_itself(ring: Ring) -> None:
    assert noted(ring, done()) == []


def test_a_cold_start_is_a_span_before_the_handlers(ring: Ring) -> None:
    [span] = noted(ring, done(init_ms=200.0))
    assert (span["service"], span["name"], span["parent_id"]) == ("slow", "start of a sandbox", SPAN)
    assert span["attributes"]["faas.invocation_id"] == "r-1"
    assert span["start"] == pytest.approx(NOW - 0.7, abs=1e-3)
    assert span["end"] == pytest.approx(NOW - 0.5, abs=1e-3)


@pytest.mark.parametrize(("status", "kind"), [("timeout", "Sandbox.Timedout"), ("error", "Runtime.ExitError")])
def test_an_invocation_that_ended_with_its_sandbox_is_told_of(ring: Ring, status: str, kind: str) -> None:
    [span] = noted(ring, done(status=status, error_type=kind, function_error="Unhandled", source="queue"))
    assert (span["name"], span["status"], span["parent_id"]) == ("slow", "error", SPAN)
    assert span["attributes"] == {"faas.invocation_id": "r-1", "faas.trigger": "pubsub", "error.type": kind}
    assert span["end"] - span["start"] == pytest.approx(0.1, abs=1e-3)


def test_what_ran_with_a_frozen_clock_is_in_no_trace(ring: Ring) -> None:
    assert noted(ring, done(init_ms=200.0, began=5.0, source="replay")) == []


def test_a_sandbox_that_could_not_start_is_an_error(ring: Ring) -> None:
    failed = done(status="error", error_type="Runtime.ImportModuleError", function_error="Unhandled", began=0.0)
    [span] = noted(ring, failed)
    assert (span["name"], span["status"]) == ("start of a sandbox", "error")
    assert span["attributes"]["error.type"] == "Runtime.ImportModuleError"


def test_of_uneventful_runs_of_a_schedule_one_a_minute_is_kept(ring: Ring) -> None:
    traces = {name: name * 32 for name in "abcd"}
    begun = {"a": 0.0, "b": 5.0, "c": 10.0, "d": 61.0}

    async def work(tracing: Tracing) -> None:
        for name, trace in traces.items():
            failure = "Unhandled" if name == "c" else None
            header = f"Root=1-{trace[:8]}-{trace[8:]}"
            span = {"trace_id": trace, "span_id": SPAN, "start": NOW, "end": NOW, "name": name}
            tracing.spans("slow", json.dumps([span]).encode())
            at = NOW + begun[name]
            tracing.note(done(source="schedule", trace=header, started=at, began=at, function_error=failure))

    assert told(ring, work, "b") == []
    assert [bool(ring.trace(name)) for name in traces] == [True, False, True, True]
