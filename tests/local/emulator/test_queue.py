"""The event source mapping, against a real RabbitMQ: nothing is lost, nothing is rejected, everything is in order."""

import asyncio
import base64
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pika  # type: ignore[import-untyped] # pika ships no py.typed
import pytest

from local.invocation import Invocation
from local.template.spec import QueueMapping
from local.triggers.queue import QueueTrigger
from tests.local.emulator.lab import Lab, lab
from tests.servers import management
from tests.stacks import free_port

PATIENCE = 60.0
BOTH: dict[str, Any] = {"batch_size": 2, "window_seconds": PATIENCE}  # two messages are one batch, however they arrive


class Queue:
    """A queue of a test's own, and the connection that publishes to it."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.name = f"results-{uuid.uuid4().hex[:8]}"
        self.settings = settings
        credentials = pika.PlainCredentials(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"])
        self.parameters = pika.ConnectionParameters(
            settings["RABBITMQ_HOST"], int(settings["RABBITMQ_PORT"]), settings["RABBITMQ_VHOST"], credentials
        )
        self._connection = pika.BlockingConnection(self.parameters)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def declare(self, **arguments: Any) -> None:
        self._channel.queue_declare(self.name, durable=True, arguments=arguments)

    def publish(self, *bodies: bytes, **properties: Any) -> None:
        for body in bodies:
            self.publish_as(pika.BasicProperties(**properties), body)

    def publish_as(self, properties: pika.BasicProperties, body: bytes) -> None:
        self._channel.basic_publish("", self.name, body, properties, mandatory=True)

    def depth(self, name: str | None = None) -> int:
        """Messages that nobody holds."""
        found = self._channel.queue_declare(name or self.name, durable=True, passive=True)
        return int(found.method.message_count)

    def take(self, name: str) -> bytes | None:
        _, _, body = self._channel.basic_get(name, auto_ack=True)
        return bytes(body) if body is not None else None

    def declare_other(self, name: str) -> None:
        self._channel.queue_declare(name, durable=True)

    def bounce(self) -> int:
        """Close the connections of the queue's consumers, as a restarting broker would; how many there were."""
        with management(self.settings) as http:
            vhost = quote(self.settings["RABBITMQ_VHOST"], safe="")
            names = {
                consumer["channel_details"]["connection_name"]
                for consumer in http.get(f"/consumers/{vhost}").json()
                if consumer["queue"]["name"] == self.name and consumer["channel_details"]
            }
            for name in names:
                http.delete(f"/connections/{quote(name, safe='')}", headers={"X-Reason": "bounce"}).raise_for_status()
            return len(names)

    def await_depth(self, name: str, depth: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.depth(name) != depth:
            assert time.monotonic() < deadline, f"{name} has {self.depth(name)} messages"

    def channel(self) -> Any:
        """One more channel, whose consumer ends with the connection; what it publishes is there when it returns."""
        channel = self._connection.channel()
        channel.confirm_delivery()
        return channel

    def delete(self) -> None:
        self._channel.queue_delete(self.name)

    def close(self) -> None:
        self._channel.queue_delete(self.name)
        self._connection.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("sample")
    with lab(folder, settings={"GREETING": str(folder)}) as running:
        yield running


@pytest.fixture
def queue(broker: dict[str, str], sample: Lab) -> Iterator[Queue]:
    for name in ("batches", "fail", "wait"):
        (sample.folder / name).unlink(missing_ok=True)
    queue = Queue(broker)
    try:
        yield queue
    finally:
        queue.close()


def batches(sample: Lab) -> list[Any]:
    file = sample.folder / "batches"
    whole_lines = file.read_text().rpartition("\n")[0] if file.exists() else ""
    return [json.loads(line) for line in whole_lines.splitlines()]


def bodies(event: Any) -> list[bytes]:
    (records,) = event["rmqMessagesByQueue"].values()
    return [base64.b64decode(record["data"]) for record in records]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


Step = Callable[[], object]


def triggered(sample: Lab, queue: Queue, *steps: Step, **changed: Any) -> list[str]:
    """Run the trigger while each step in turn becomes true (one that gives None is done at once); its reports."""
    mapping = replace(sample.template.queues[0], queue=queue.name, **changed)
    reports: list[str] = []

    async def run() -> None:
        trigger = make_trigger(sample, mapping, queue, reports)
        trigger.start()
        try:
            for step in steps:
                await until(lambda step=step: step() in (None, True))  # type: ignore[misc] # mypy cannot see the default
        finally:
            await trigger.stop()

    sample.run(run())
    return reports


def make_trigger(sample: Lab, mapping: QueueMapping, queue: Queue, reports: list[str]) -> QueueTrigger:
    return QueueTrigger(mapping, queue.parameters, sample.invoker.invoke, report=reports.append, backoff=(0.05, 0.2))


def test_messages_come_as_the_documented_event_and_are_acked(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(
        b'{"a": 1}',
        content_type="application/json",
        correlation_id="c",
        message_id="m",
        type="avatar.task.v1",
        timestamp=1,
        app_id="agent",
        delivery_mode=2,
        headers={"traceparent": "00-x", "x-attempt": 2},
    )
    triggered(sample, queue, lambda: len(batches(sample)) == 1)
    (event,) = batches(sample)
    assert event["eventSource"] == "aws:rmq"
    assert event["eventSourceArn"] == "arn:aws:mq:us-east-1:000000000000:broker:sample:b-1"
    ((key, (record,)),) = event["rmqMessagesByQueue"].items()
    assert key == f"{queue.name}::{queue.parameters.virtual_host}"
    assert record == {
        "basicProperties": {
            "contentType": "application/json",
            "contentEncoding": None,
            "headers": {"traceparent": {"bytes": list(b"00-x")}, "x-attempt": 2},
            "deliveryMode": 2,
            "priority": None,
            "correlationId": "c",
            "replyTo": None,
            "expiration": None,
            "messageId": "m",
            "timestamp": "Jan 1, 1970, 12:00:01 AM",
            "type": "avatar.task.v1",
            "userId": None,
            "appId": "agent",
            "clusterId": None,
            "bodySize": 8,
        },
        "redelivered": False,
        "data": base64.b64encode(b'{"a": 1}').decode(),
    }
    assert queue.depth() == 0


def test_a_batch_is_as_big_as_it_may_be_and_keeps_the_order(sample: Lab, queue: Queue) -> None:
    queue.declare()
    given = [str(number).encode() for number in range(8)]
    queue.publish(*given)
    triggered(sample, queue, lambda: sum(len(bodies(event)) for event in batches(sample)) == 8, window_seconds=1.0)
    assert [len(bodies(event)) for event in batches(sample)] == [3, 3, 2]
    assert [body for event in batches(sample) for body in bodies(event)] == given
    assert queue.depth() == 0


def test_a_failing_function_gets_the_batch_again_and_nothing_is_rejected(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(b"1", b"2")
    fail = sample.folder / "fail"
    fail.touch()
    reports = triggered(
        sample, queue, lambda: len(batches(sample)) >= 3, fail.unlink, lambda: len(batches(sample)) >= 4, **BOTH
    )
    assert {tuple(bodies(event)) for event in batches(sample)} == {(b"1", b"2")}
    (records,) = batches(sample)[-1]["rmqMessagesByQueue"].values()
    assert [record["redelivered"] for record in records] == [True, True]  # the function has seen them
    assert queue.depth() == 0
    assert reports[0] == ("consume.Results: consume failed (RuntimeError); the batch of 2 is kept and tried again")


def test_a_batch_that_never_succeeded_goes_back_redelivered(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(b"1")
    fail = sample.folder / "fail"
    fail.touch()
    triggered(sample, queue, lambda: len(batches(sample)) >= 1)
    queue.await_depth(queue.name, 1)
    fail.unlink()
    seen = len(batches(sample))
    triggered(sample, queue, lambda: len(batches(sample)) > seen)
    ((record,),) = batches(sample)[-1]["rmqMessagesByQueue"].values()
    assert record["redelivered"] is True
    assert queue.depth() == 0


def test_a_killed_sandbox_gives_the_same_messages_again(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(b"1", b"2")
    wait = sample.folder / "wait"
    wait.touch()
    reports = triggered(
        sample,
        queue,
        lambda: len(batches(sample)) == 1,
        lambda: os.kill(int((sample.folder / "pid").read_text()), signal.SIGKILL),
        wait.unlink,
        lambda: len(batches(sample)) == 2,
        **BOTH,
    )
    assert [bodies(event) for event in batches(sample)] == [[b"1", b"2"]] * 2
    assert reports == ["consume.Results: consume failed (Runtime.ExitError); the batch of 2 is kept and tried again"]
    assert queue.depth() == 0


def test_one_batch_runs_at_a_time(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(*[b"x"] * 20)
    running = 0
    most = 0

    async def invoke(name: str, event: Mapping[str, Any] | bytes, *, source: str) -> Invocation:
        nonlocal running, most
        assert source == "queue"
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return await sample.invoker.invoke(name, event, source=source)

    async def run() -> None:
        mapping = replace(sample.template.queues[0], queue=queue.name, batch_size=1)
        trigger = QueueTrigger(mapping, queue.parameters, invoke)
        trigger.start()
        await until(lambda: len(batches(sample)) == 20)
        await trigger.stop()

    sample.run(run())
    assert most == 1
    assert queue.depth() == 0


def test_a_queue_that_is_deleted_and_made_again_is_consumed_again(sample: Lab, queue: Queue) -> None:
    queue.declare()
    reports = triggered(
        sample,
        queue,
        lambda: queue.publish(b"1"),
        lambda: len(batches(sample)) == 1,
        queue.delete,
        lambda: queue.declare(**{"x-queue-type": "quorum"}),
        lambda: queue.publish(b"2"),
        lambda: len(batches(sample)) == 2,
    )
    assert reports[0] == f"queue {queue.name}: queue {queue.name} was deleted; trying again"
    assert queue.depth() == 0


def test_what_keeps_coming_back_ends_in_the_dead_letters_by_the_queues_own_limit(sample: Lab, queue: Queue) -> None:
    """The trigger itself gives up nothing; a quorum queue counts how often it had to take a message back."""
    dead = f"{queue.name}.dead"
    queue.declare_other(dead)
    limited = {"x-queue-type": "quorum", "x-delivery-limit": 2}
    queue.declare(**limited, **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    queue.publish(b"poison")
    (sample.folder / "fail").touch()
    for seen in (1, 2, 3):  # a stop gives the message back
        triggered(sample, queue, lambda seen=seen: len(batches(sample)) >= seen)  # type: ignore[misc] # as in `triggered`
    queue.await_depth(dead, 1)
    assert queue.depth() == 0


def test_what_matches_no_filter_is_acked_and_never_reaches_the_function(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(*[b'{"kind": "noise"}'] * 5, b"no json", b'{"kind": "report"}')
    wanted = ('{"data": {"kind": ["report"]}}', '{"data": {"kind": ["result"]}}')
    reports = triggered(sample, queue, lambda: len(batches(sample)) == 1, filters=wanted)
    assert [bodies(event) for event in batches(sample)] == [[b'{"kind": "report"}']]
    told = "consume.Results: {} messages so far matched no filter and are gone"
    assert reports == [told.format(number) for number in (1, 2, 4)]
    assert queue.depth() == 0


def test_stopping_lets_the_batch_at_work_finish_and_acks_it(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(b"1")
    wait = sample.folder / "wait"
    wait.touch()

    async def run() -> None:
        mapping = replace(sample.template.queues[0], queue=queue.name)
        trigger = make_trigger(sample, mapping, queue, [])
        trigger.start()
        await until(lambda: batches(sample))
        stopping = asyncio.ensure_future(trigger.stop())
        await asyncio.sleep(0.05)
        wait.unlink()
        await stopping

    sample.run(run())
    assert queue.depth() == 0


def test_a_lost_connection_is_made_anew_and_the_batch_comes_again(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(b"1")
    wait = sample.folder / "wait"
    wait.touch()
    reports = triggered(
        sample,
        queue,
        lambda: len(batches(sample)) == 1,
        lambda: queue.bounce() > 0,
        wait.unlink,
        lambda: len(batches(sample)) == 2,
        lambda: queue.bounce() > 0,
        lambda: queue.publish(b"2"),
        lambda: b"2" in bodies(batches(sample)[-1]),
    )
    *again, last = [body for event in batches(sample) for body in bodies(event)]
    assert (set(again), last) == ({b"1"}, b"2")
    assert len(again) >= 2  # once more when the second loss came before the broker had its ack
    assert queue.depth() == 0
    assert any("trying again" in report for report in reports)


def test_a_queue_may_come_later(sample: Lab, queue: Queue) -> None:
    mapping = replace(sample.template.queues[0], queue=queue.name)
    reports: list[str] = []

    async def run() -> None:
        trigger = make_trigger(sample, mapping, queue, reports)
        trigger.start()
        await until(lambda: reports)
        queue.declare()
        queue.publish(b"1")
        await until(lambda: batches(sample))
        await trigger.stop()

    sample.run(run())
    assert [report for report in reports if "NOT_FOUND" in report] == reports
    assert len(reports) == 1


def test_a_broker_may_come_later(sample: Lab, queue: Queue) -> None:
    mapping = replace(sample.template.queues[0], queue=queue.name)
    reports: list[str] = []

    async def run() -> None:
        gone = pika.ConnectionParameters("127.0.0.1", free_port())
        trigger = QueueTrigger(mapping, gone, sample.invoker.invoke, report=reports.append, backoff=(0.01, 0.05))
        trigger.start()
        await until(lambda: reports)
        await asyncio.sleep(0.2)
        await trigger.stop()

    sample.run(run())
    assert len(reports) == 1
    assert "the broker cannot be reached" in reports[0]


def test_an_event_holds_six_megabytes_at_most(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(*(bytes([number]) * 2_000_000 for number in range(4)))
    triggered(sample, queue, lambda: sum(len(bodies(event)) for event in batches(sample)) == 4, window_seconds=2.0)
    assert [len(bodies(event)) for event in batches(sample)] == [2, 2]
    assert queue.depth() == 0


def test_a_message_no_event_can_hold_goes_to_the_dead_letters(sample: Lab, queue: Queue) -> None:
    dead = f"{queue.name}.dead"
    queue.declare_other(dead)
    queue.declare(**{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    queue.publish(b"x" * 5_000_000, b"small")
    reports = triggered(sample, queue, lambda: len(batches(sample)) == 1)
    assert [bodies(event) for event in batches(sample)] == [[b"small"]]
    queue.await_depth(dead, 1)
    assert queue.take(dead) == b"x" * 5_000_000
    assert reports == [f"{queue.name}: a message fits in no event and is rejected: it has 5000000 bytes"]


def test_what_is_no_utf8_in_properties_and_headers_is_replaced(sample: Lab, queue: Queue) -> None:
    queue.declare()
    not_utf8 = b"\xff\xfe"
    queue.publish(b"1", content_type=not_utf8, type=not_utf8, headers={not_utf8: {not_utf8: not_utf8}})
    assert triggered(sample, queue, lambda: len(batches(sample)) == 1) == []
    ((record,),) = batches(sample)[0]["rmqMessagesByQueue"].values()
    properties = record["basicProperties"]
    assert (properties["contentType"], properties["type"]) == ("\ufffd\ufffd", "\ufffd\ufffd")
    assert properties["headers"] == {"\ufffd\ufffd": {"\ufffd\ufffd": {"bytes": [255, 254]}}}
    assert queue.depth() == 0


class RawHeader(pika.BasicProperties):  # type: ignore[misc] # pika is untyped
    """One header `x` whose type and value are put on the wire as they are."""

    def __init__(self, value: bytes) -> None:
        super().__init__(headers={})
        self._value = value

    def encode(self) -> list[bytes]:
        field = b"\x01x" + self._value
        return [self.FLAG_HEADERS.to_bytes(2, "big"), len(field).to_bytes(4, "big"), field]


def nested(levels: int) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = b"A" + len(value).to_bytes(4, "big") + value
    return value


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"T" + (2**55).to_bytes(8, "big"), "its headers cannot be read: year "),
        (b"T" + (2**63 - 1).to_bytes(8, "big"), "its headers cannot be read: "),
        (nested(5000), "its headers cannot be read: maximum recursion depth exceeded"),
        (nested(100), "its headers nest deeper than 64 levels"),
    ],
    ids=["late", "timeless", "bottomless", "deep"],
)
def test_headers_that_cannot_be_read_go_to_the_dead_letters(
    sample: Lab, queue: Queue, header: bytes, reason: str
) -> None:
    dead = f"{queue.name}.dead"
    queue.declare_other(dead)
    queue.declare(**{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    queue.publish_as(RawHeader(header), b"bad")
    queue.publish(b"good")
    (report,) = triggered(sample, queue, lambda: len(batches(sample)) == 1, lambda: queue.depth() == 0)
    assert [bodies(event) for event in batches(sample)] == [[b"good"]]
    assert report.startswith(f"{queue.name}: a message fits in no event and is rejected: {reason}")
    queue.await_depth(dead, 1)


def test_no_error_ends_the_trigger(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(b"1")
    mapping = replace(sample.template.queues[0], queue=queue.name)
    calls: list[str] = []
    reports: list[str] = []

    async def invoke(name: str, event: Mapping[str, Any] | bytes, *, source: str) -> Invocation:
        calls.append(name)
        if len(calls) < 3:
            raise OSError("No space left on device")
        return await sample.invoker.invoke(name, event)

    def report(text: str) -> None:
        reports.append(text)
        raise BrokenPipeError

    async def run() -> None:
        trigger = QueueTrigger(mapping, queue.parameters, invoke, report=report, backoff=(0.01, 0.05))
        assert not trigger.alive
        trigger.start()
        await until(lambda: batches(sample))
        assert trigger.alive
        await trigger.stop()
        assert not trigger.alive

    sample.run(run())
    assert reports == [f"queue {queue.name}: OSError: No space left on device; trying again"] * 2
    assert queue.depth() == 0


def test_heartbeats_go_on_while_a_batch_runs(sample: Lab, queue: Queue) -> None:
    queue.declare()
    queue.publish(b"1")
    queue.parameters.heartbeat = 1
    wait = sample.folder / "wait"
    wait.touch()

    async def run() -> list[str]:
        reports: list[str] = []
        trigger = make_trigger(sample, replace(sample.template.queues[0], queue=queue.name), queue, reports)
        trigger.start()
        await until(lambda: batches(sample))
        await asyncio.sleep(3.5)  # the broker ends a connection after two silent seconds
        wait.unlink()
        await trigger.stop()
        return reports

    assert sample.run(run()) == []
    assert queue.depth() == 0
    assert len(batches(sample)) == 1
