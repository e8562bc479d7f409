"""Knative's trigger, as a RabbitmqSource has it: each message is a CloudEvent of its own."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from local.events import RmqMessage, cloud_event, message_event
from local.invocation import Invocation
from local.sandbox.pool import Busy
from local.sandbox.report import Report
from local.template.spec import QueueMapping
from local.triggers.queue import QueueTrigger
from local.triggers.singles import PARALLELISM, RETRIES
from tests.local.emulator.test_queue import Queue, until


def event_of(body: bytes, **properties: Any) -> dict[str, Any]:
    return message_event("results", "consume_results.Results", RmqMessage(body, properties))


def test_a_cloud_event_says_only_what_is_known() -> None:
    assert cloud_event(source="/here", type="made", id="1", data=b"\xff") == {
        "specversion": "1.0",
        "id": "1",
        "source": "/here",
        "type": "made",
        "data_base64": "/w==",
    }
    event = cloud_event(
        source="/here",
        type="made",
        id="1",
        subject="it",
        time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        data=b'{"a": 1}',
        content_type="application/json; charset=utf-8",
    )
    assert (event["subject"], event["time"], event["data"]) == ("it", "2026-01-02T03:04:05Z", {"a": 1})
    assert event["datacontenttype"] == "application/json; charset=utf-8"


def test_a_message_becomes_the_event_of_a_rabbitmq_source() -> None:
    headers = {"traceparent": "00-x", "x-death": [], "mine": 1}
    assert event_of(b'{"a": 1}', contentType="application/json", messageId="m", timestamp=1, headers=headers) == {
        "specversion": "1.0",
        "id": "m",
        "source": "/apis/v1/namespaces/default/rabbitmqsources/consume-results-results#results",
        "type": "dev.knative.rabbitmq.event",
        "subject": "m",
        "time": "1970-01-01T00:00:01Z",
        "datacontenttype": "application/json",
        "traceparent": "00-x",
        "data": {"a": 1},
    }


def test_a_message_without_an_id_gets_one() -> None:
    first, second = event_of(b""), event_of(b"")
    assert first["id"] == first["subject"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize("body", [b"{", b"NaN", b"\xff", b"[" * 100_000], ids=["cut", "no number", "no text", "deep"])
def test_what_only_calls_itself_json_is_base64(body: bytes) -> None:
    event = event_of(body, contentType="application/json", timestamp=2**70)
    assert (base64.b64decode(event["data_base64"]), "data" in event, "time" in event) == (body, False, False)


CLOUD_EVENT = {"specversion": "1.0", "id": "7", "source": "/there", "type": "made", "data": {"b": 2}}


def test_a_message_that_is_a_cloud_event_passes_through() -> None:
    assert event_of(json.dumps(CLOUD_EVENT).encode(), contentType="application/cloudevents+json") == CLOUD_EVENT


@pytest.mark.parametrize("prefix", ["ce-", ""])
def test_a_cloud_event_in_headers_passes_through(prefix: str) -> None:
    attributes = {f"{prefix}{name}": value for name, value in CLOUD_EVENT.items() if name != "data"}
    headers = {**attributes, "content-type": "application/json", "x-attempt": 1}
    assert event_of(b'{"b": 2}', headers=headers) == {**CLOUD_EVENT, "datacontenttype": "application/json"}


class Function:
    """Stands for the invoker: keeps the bodies it gets, and does what it is told with each."""

    def __init__(self, does: Callable[[bytes], object]) -> None:
        self.seen: list[bytes] = []
        self.at_once = self.most_at_once = 0
        self.go_on = asyncio.Event()
        self._does = does

    async def invoke(self, name: str, event: Mapping[str, Any] | bytes, *, source: str) -> Invocation:
        assert isinstance(event, dict)
        assert (name, source) == ("consume", "queue")
        body = base64.b64decode(event["data_base64"])
        self.seen.append(body)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if body == b"wait":
            await self.go_on.wait()
        self.at_once -= 1
        result = self._does(body)
        failed = isinstance(result, ValueError)
        report = Report("id", 1.0, 128, 20, error_type="ValueError" if failed else None)
        payload = json.dumps(None if failed else result).encode()
        return Invocation("id", name, payload, "Unhandled" if failed else None, "", report)


@pytest.fixture
def queue(broker: dict[str, str]) -> Iterator[Queue]:
    queue = Queue(broker)
    queue.declare_other(f"{queue.name}.dead")
    dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue.name}.dead"}
    queue.declare(**{"x-queue-type": "quorum"}, **dead_letters)
    try:
        yield queue
    finally:
        queue.close()


def triggered(queue: Queue, function: Function, *steps: Callable[[], object], filters: tuple[str, ...] = ()) -> Any:
    """Run the trigger while each step in turn becomes true (one that gives None is done at once); its reports."""
    reports: list[str] = []
    mapping = QueueMapping("consume.Results", "consume", queue.name, "arn", filters=filters)

    async def run() -> None:
        trigger = QueueTrigger(
            mapping, queue.parameters, function.invoke, profile="knative", report=reports.append, backoff=(0.01, 0.02)
        )
        trigger.start()
        for step in steps:
            await until(lambda step=step: step() in (None, True))  # type: ignore[misc] # mypy cannot see the default
        await trigger.stop()
        assert not trigger.alive

    asyncio.run(run())
    return reports


@pytest.mark.parametrize("result", [None, "fine", {"statusCode": 204}, {"statusCode": "?"}, 7], ids=str)
def test_success_acks_the_message(queue: Queue, result: object) -> None:
    function = Function(lambda body: result)
    queue.publish(b"1", b"2", b"3")
    assert triggered(queue, function, lambda: len(function.seen) == 3) == []
    assert sorted(function.seen) == [b"1", b"2", b"3"]
    assert (queue.depth(), queue.depth(f"{queue.name}.dead")) == (0, 0)


def failing(body: bytes) -> object:
    return ValueError()


def refusing(body: bytes) -> object:
    raise Busy("no sandbox is free")


@pytest.mark.parametrize(
    ("does", "tries", "failure"),
    [
        (failing, RETRIES + 1, "consume failed (ValueError)"),
        (refusing, RETRIES + 1, "no sandbox is free"),
        (lambda body: {"statusCode": 503}, RETRIES + 1, "consume answered 503"),
        (lambda body: {"statusCode": 429}, RETRIES + 1, "consume answered 429"),
        (lambda body: {"statusCode": 400}, 1, "consume answered 400"),
        (lambda body: {"statusCode": 302}, 1, "consume answered 302"),
    ],
    ids=["error", "refusal", "unavailable", "throttled", "bad", "moved"],
)
def test_what_does_not_succeed_is_rejected(
    queue: Queue, does: Callable[[bytes], object], tries: int, failure: str
) -> None:
    function = Function(does)
    queue.publish(b"1")
    reports = triggered(queue, function, lambda: queue.depth(f"{queue.name}.dead") == 1)
    assert function.seen == [b"1"] * tries
    assert reports[-1] == f"consume.Results: {failure}; the message is rejected"
    assert len(reports) == tries


def test_a_failure_holds_up_no_other_message_and_may_pass(queue: Queue) -> None:
    results = [ValueError(), ValueError(), None]
    function = Function(lambda body: results.pop(0) if body == b"bad" else None)
    queue.publish(b"bad", b"good")
    triggered(queue, function, lambda: not results)
    assert sorted(function.seen) == [b"bad", b"bad", b"bad", b"good"]
    assert (queue.depth(), queue.depth(f"{queue.name}.dead")) == (0, 0)


def test_several_messages_run_at_once(queue: Queue) -> None:
    function = Function(lambda body: None)
    queue.publish(*[b"wait"] * (PARALLELISM + 3))
    all_seen = PARALLELISM + 3
    triggered(
        queue,
        function,
        lambda: function.at_once == PARALLELISM,
        function.go_on.set,
        lambda: len(function.seen) == all_seen,
    )
    assert (function.most_at_once, queue.depth()) == (PARALLELISM, 0)


def test_stopping_lets_what_runs_finish_and_acks_it(queue: Queue) -> None:
    function = Function(lambda body: None)
    queue.publish(b"wait")

    def let_it_finish_later() -> None:
        asyncio.get_running_loop().call_later(0.05, function.go_on.set)

    triggered(queue, function, lambda: function.at_once == 1, let_it_finish_later)
    assert queue.depth() == 0


def test_a_lost_connection_gives_the_message_again(queue: Queue) -> None:
    function = Function(lambda body: None)
    queue.publish(b"wait")
    triggered(
        queue,
        function,
        lambda: function.at_once == 1,
        lambda: queue.bounce() > 0,
        lambda: len(function.seen) == 2,
        function.go_on.set,
    )
    assert (function.seen, queue.depth()) == ([b"wait", b"wait"], 0)


def test_filters_are_lambdas(queue: Queue) -> None:
    function = Function(lambda body: None)
    queue.publish(b"1")
    reports = triggered(queue, function, lambda: function.seen == [b"1"], filters=('{"data": ["2"]}',))
    assert reports == ["consume.Results: a RabbitmqSource has no FilterCriteria, so every message is delivered"]
