"""The event source mapping of a RabbitMQ queue: batches as `aws:rmq` events, one at a time, until one succeeds.

Nothing is rejected for a function's error: the batch stays unacknowledged and the function gets it again. Only a
message that no event can hold is rejected (Lambda drops it; here the queue's dead-letter exchange may keep it).
Nothing ends a trigger but `stop`: what nobody expected is reported, and consuming begins anew.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pika import ConnectionParameters  # type: ignore[import-untyped] # pika ships no py.typed

from local.events import MalformedMessage, rmq_event
from local.events.rmq import rmq_record
from local.invoker import Invocation
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Refused
from local.template.spec import QueueMapping
from local.triggers.amqp import Consumer, ConsumerLost, Delivery

PAYLOAD_LIMIT = 6_000_000  # Lambda's 6 MB, with room for what surrounds the messages
Invoke = Callable[[str, Mapping[str, Any]], Awaitable[Invocation]]


class QueueTrigger:
    """Runs until stopped, through broker restarts and before the queue exists."""

    def __init__(
        self,
        mapping: QueueMapping,
        parameters: ConnectionParameters,
        invoke: Invoke,
        *,
        report: Callable[[str], None] = print,
        backoff: tuple[float, float] = (1.0, 30.0),
    ) -> None:
        self._mapping, self._parameters, self._invoke = mapping, parameters, invoke
        self._report, self._backoff = report, backoff
        self._delay = backoff[0]
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._carried: Delivery | None = None
        self._complaint = ""
        self._at_work = False

    @property
    def alive(self) -> bool:
        """Whether it consumes, or tries to."""
        return self._running is not None and not self._running.done()

    def start(self) -> None:
        logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it would log is reported here
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, *, grace: float = 5.0) -> None:
        """Take no further batch; let the one at work finish and be acked for `grace` seconds."""
        self._stopping.set()
        if self._running:
            if self._at_work:
                await asyncio.wait({self._running}, timeout=grace)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._consume()
            except ConsumerLost as exc:
                self._complain(str(exc))
            except Exception as exc:  # a fault of ours, of pika or of the disk: no reason to consume no more
                self._complain(f"{type(exc).__name__}: {exc}")
            await self._pause(self._delay)
            self._delay = min(self._delay * 2, self._backoff[1])

    async def _consume(self) -> None:
        mapping = self._mapping
        consumer = await Consumer.open(self._parameters, mapping.queue, prefetch=mapping.batch_size)
        self._complain("")
        self._carried = None
        try:
            while not self._stopping.is_set():
                if batch := await self._batch(consumer):
                    await self._deliver(consumer, batch)
        except ConsumerLost:
            self._delay = self._backoff[0]
            raise
        finally:
            await consumer.close()

    async def _batch(self, consumer: Consumer) -> list[Delivery]:
        """Wait for one message, then for as many as come within the window and fit in one event."""
        batch: list[Delivery] = []
        size, end = 0, None
        while len(batch) < self._mapping.batch_size:
            delivery = self._carried or await consumer.next(end and max(0.0, end - time.monotonic()))
            self._carried = None
            if delivery is None:
                break
            end = end or time.monotonic() + self._mapping.window_seconds
            try:
                length = _length(delivery)
            except MalformedMessage as exc:
                consumer.reject(delivery.tag)
                self._report(f"{self._mapping.queue}: a message fits in no event and is rejected: {exc}")
                continue
            if size + length > PAYLOAD_LIMIT:
                self._carried = delivery
                break
            else:
                batch.append(delivery)
                size += length
        return batch

    async def _deliver(self, consumer: Consumer, batch: list[Delivery]) -> None:
        delay, longest = self._backoff
        while (failure := await self._attempt(batch)) is not None:
            self._report(f"{self._mapping.name}: {failure}; the batch of {len(batch)} is kept and tried again")
            await self._pause(delay, consumer.lost)
            delay = min(delay * 2, longest)
            if consumer.lost.done():  # the broker has given the batch back to the queue
                raise ConsumerLost(consumer.lost.result())
            if self._stopping.is_set():
                return
        consumer.ack(batch[-1].tag)

    async def _attempt(self, batch: list[Delivery]) -> str | None:
        """Invoke the function; what went wrong, if anything did."""
        messages = [delivery.message for delivery in batch]
        mapping, vhost = self._mapping, self._parameters.virtual_host
        event = rmq_event(mapping.queue, vhost, messages, broker_arn=mapping.broker_arn)
        self._at_work = True
        try:
            invocation = await self._invoke(mapping.function, event)
        except (Refused, LaunchFailed) as exc:
            return str(exc)
        finally:
            self._at_work = False
        if invocation.function_error:
            return f"{mapping.function} failed ({invocation.report.error_type})"
        return None

    async def _pause(self, seconds: float, *until: "asyncio.Future[Any]") -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({stopping, *until}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    def _complain(self, reason: str) -> None:
        """Say it once, until it is another reason."""
        if reason and reason != self._complaint and not self._stopping.is_set():
            with contextlib.suppress(OSError):  # nobody reads it
                self._report(f"queue {self._mapping.queue}: {reason}; trying again")
        self._complaint = reason


def _length(delivery: Delivery) -> int:
    """Bytes of the message in an event. Raises MalformedMessage."""
    length = len(json.dumps(rmq_record(delivery.message)))
    if length > PAYLOAD_LIMIT:
        raise MalformedMessage(f"it has {len(delivery.message.body)} bytes")
    return length
