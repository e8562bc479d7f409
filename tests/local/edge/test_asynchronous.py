"""Events nobody waits for are repeated when they fail, and their end is told to a destination."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.asynchronous import Event, EventQueue
from local.invocation import LIMITS, Invocation
from local.invoker import UnknownFunction
from local.sandbox.how import How
from local.sandbox.pool import Throttled
from local.sandbox.report import Report
from local.template import Template, load
from local.template.spec import Asynchronous
from tests.local.edge.conftest import Emulation
from tests.local.emulator.lab import SECRET, copy_sample
from tests.stacks import until


def records(edge: Emulation) -> list[dict[str, Any]]:
    """What the function that is the destination was given."""
    return [json.loads(one.event) for one in edge.invocations if one.function == "told"]


def accepted(functions: Any, name: str, event: Mapping[str, Any]) -> str:
    """Invoke asynchronously; the request id."""
    answer = functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    return str(answer["ResponseMetadata"]["RequestId"])


def record_of(edge: Emulation, request_id: str) -> dict[str, Any]:
    def told() -> dict[str, Any] | None:
        return next((one for one in records(edge) if one["requestContext"]["requestId"] == request_id), None)

    return until(told, within=30, what="the destination is told")


def test_an_event_that_fails_is_tried_three_times_and_then_told_to_its_destination(
    functions: Any, edge: Emulation
) -> None:
    request_id = accepted(functions, "flaky", {"kind": "raise_error"})
    record = record_of(edge, request_id)
    assert [one.function_error for one in edge.invocations if one.request_id == request_id] == ["Unhandled"] * 3
    assert record.pop("timestamp").endswith("Z")
    assert record.pop("responsePayload")["errorMessage"] == "nothing found"
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:flaky:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"kind": "raise_error"},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    }


def test_a_success_is_told_too(functions: Any, edge: Emulation) -> None:
    record = record_of(edge, accepted(functions, "flaky", {"kind": "log"}))
    assert record["requestContext"]["condition"] == "Success"
    assert (record["requestContext"]["approximateInvokeCount"], record["responsePayload"]) == (1, "ok")
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}


def test_without_a_destination_the_end_is_reported(functions: Any, edge: Emulation) -> None:
    request_id = accepted(functions, "once", {"kind": "raise_error"})
    line = f"once: the event {request_id} is dropped (RetriesExhausted)"
    until(lambda: line in edge.reports, within=30, what="the end is reported")
    assert sum(one.request_id == request_id for one in edge.invocations) == 1


def test_an_event_that_must_wait_for_a_place_is_not_lost(functions: Any, edge: Emulation) -> None:
    ids = {accepted(functions, "single", {"seconds": 0.1}) for _ in range(8)}
    until(lambda: ids <= {one.request_id for one in edge.invocations}, within=30, what="all have run")


def test_an_event_for_nobody_or_of_no_json_is_refused(functions: Any) -> None:
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        accepted(functions, "nothing", {})
    with pytest.raises(functions.exceptions.InvalidRequestContentException):
        functions.invoke(FunctionName="tick", InvocationType="Event", Payload=b"{")


class Answers:
    """An invoker that fails as often as it is told to, or is busy for ever."""

    limits = LIMITS["local"]

    def __init__(self, *, failures: int = 0, busy: bool = False, seconds: float = 0) -> None:
        self.failures, self.busy, self.seconds = failures, busy, seconds
        self.events: list[tuple[str, bytes]] = []

    async def invoke(
        self,
        name: str,
        event: Mapping[str, Any] | bytes,
        *,
        request_id: str | None = None,
        trace: str | None = None,
        source: str = "invoke",
        how: How | None = None,
    ) -> Invocation:
        await asyncio.sleep(self.seconds)
        if self.busy:
            raise Throttled("busy")
        assert isinstance(event, bytes)
        self.events.append((name, event))
        failed = len(self.events) <= self.failures
        report = Report(str(request_id), 1.0, 128, 10)
        return Invocation(str(request_id), name, b"{}", "Unhandled" if failed else None, "", report)


@pytest.fixture
def template(tmp_path: Path) -> Template:
    """The sample, in which `tick` tells its failures to `echo` and those of `echo` are told to `echo`."""
    template = load(copy_sample(tmp_path) / "template.yaml", {"SECRET_KEY": SECRET})
    config = Asynchronous(max_age=60, on_failure="echo")
    functions = {name: replace(spec, asynchronous=config) for name, spec in template.functions.items()}
    return replace(template, functions=functions)


def queue(answers: Answers, template: Template, reports: list[str], *, retry_seconds: float = 0.0) -> EventQueue:
    return EventQueue(answers, lambda: template, retry_seconds=retry_seconds, report=reports.append)


def test_who_waits_gets_the_last_invocation(template: Template) -> None:
    answers = Answers(failures=2)
    done = asyncio.run(queue(answers, template, []).invoke("tick", {"a": 1}))
    assert done.function_error is None
    assert answers.events == [("tick", b'{"a": 1}')] * 3


def test_an_event_that_would_be_too_old_is_given_up(template: Template) -> None:
    answers = Answers(failures=1)

    async def tried() -> None:
        events = queue(answers, template, [], retry_seconds=61)
        await events.invoke("tick", {})
        await events.stop()

    asyncio.run(tried())
    (_, _), (destination, record) = answers.events
    assert destination == "echo"
    assert json.loads(record)["requestContext"]["condition"] == "EventAgeExceeded"


def test_functions_that_tell_each_other_in_a_circle_come_to_an_end(template: Template) -> None:
    answers, reports = Answers(failures=1000), list[str]()

    async def told() -> None:
        events = queue(answers, template, reports)
        await events.invoke("echo", {})
        while not reports:
            await asyncio.sleep(0.01)

    asyncio.run(told())
    assert len(answers.events) == 3 * 17
    assert "is dropped" in reports[0]


def test_a_stop_waits_for_no_retry_and_does_what_it_can(template: Template) -> None:
    answers, reports = Answers(failures=1), list[str]()

    async def stopped() -> None:
        events = queue(answers, template, reports, retry_seconds=20)
        events.accept(Event("tick", b"{}"))
        while not answers.events:
            await asyncio.sleep(0.01)
        await events.stop(grace=5)

    asyncio.run(stopped())
    assert [name for name, _ in answers.events] == ["tick", "tick"]
    assert reports == []


@pytest.mark.parametrize("answers", [Answers(busy=True), Answers(seconds=60)])
def test_what_cannot_be_done_before_a_stop_is_reported(template: Template, answers: Answers) -> None:
    reports: list[str] = []

    async def stopped() -> None:
        events = queue(answers, template, reports)
        events.accept(Event("tick", b"{}", "the-id"))
        await asyncio.sleep(0)
        await events.stop(grace=0.2)

    asyncio.run(stopped())
    assert reports == ["tick: the event the-id was accepted and is not done; it is lost"]


def test_an_unknown_function_accepts_nothing(template: Template) -> None:
    with pytest.raises(UnknownFunction):
        asyncio.run(queue(Answers(), template, []).invoke("nothing", {}))
