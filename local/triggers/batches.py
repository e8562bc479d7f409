"""Deliver as Lambda does: batches as `aws:rmq` events, one at a time, each until it succeeds.

Nothing is rejected for a function's error: the batch stays unacknowledged and the function gets it again. Only a
message that no event can hold is rejected (Lambda drops it; here the queue's dead-letter exchange may keep it).
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace

from local.events import MalformedMessage, rmq_event
from local.events.rmq import rmq_record
from local.template.spec import QueueMapping
from local.triggers import filters
from local.triggers.amqp import Consumer, ConsumerLost, Delivery, Pause
from local.triggers.invocations import Failed, Invoke, succeeding

PAYLOAD_LIMIT = 6_000_000  # Lambda's 6 MB, with room for what surrounds the messages


class Batches:
    """Serves one consumer after the other."""

    def __init__(
        self,
        mapping: QueueMapping,
        vhost: str,
        invoke: Invoke,
        pause: Pause,
        *,
        report: Callable[[str], None],
        backoff: tuple[float, float],
    ) -> None:
        self.prefetch = mapping.batch_size
        self.at_work = 0
        self._mapping, self._vhost, self._invoke, self._pause = mapping, vhost, invoke, pause
        self._report, self._backoff = report, backoff
        self._filters = [filters.parse(pattern) for pattern in mapping.filters]
        self._filtered = 0
        self._carried: Delivery | None = None

    async def serve(self, consumer: Consumer, stopping: asyncio.Event) -> None:
        """Raises ConsumerLost."""
        self._carried = None
        while not stopping.is_set():
            if batch := await self._batch(consumer):
                await self._deliver(consumer, batch, stopping)

    async def _batch(self, consumer: Consumer) -> list[Delivery]:
        """Wait for one message, then for as many as come within the window and fit in one event."""
        batch: list[Delivery] = []
        size, end = 0, None
        while len(batch) < self._mapping.batch_size:
            delivery = self._carried or await consumer.next(end and max(0.0, end - time.monotonic()))
            self._carried = None
            if delivery is None:
                break
            if self._filters and not any(matches(delivery.message.body) for matches in self._filters):
                self._pass_by(consumer, delivery)
                continue
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
            batch.append(delivery)
            size += length
        return batch

    def _pass_by(self, consumer: Consumer, delivery: Delivery) -> None:
        """Lambda acknowledges what does not match, too; said of the 1st, 2nd, 4th, 8th, … message."""
        consumer.ack(delivery.tag)
        self._filtered += 1
        if self._filtered.bit_count() == 1:
            self._report(f"{self._mapping.name}: {self._filtered} messages so far matched no filter and are gone")

    async def _deliver(self, consumer: Consumer, batch: list[Delivery], stopping: asyncio.Event) -> None:
        delay, longest = self._backoff
        while (failure := await self._attempt(batch)) is not None:
            self._report(f"{self._mapping.name}: {failure}; the batch of {len(batch)} is kept and tried again")
            await self._pause(delay, consumer.lost)
            delay = min(delay * 2, longest)
            if consumer.lost.done():  # the broker has given the batch back to the queue
                raise ConsumerLost(consumer.lost.result())
            if stopping.is_set():
                return
            batch = [replace(each, message=replace(each.message, redelivered=True)) for each in batch]
        consumer.ack(batch[-1].tag, multiple=True)

    async def _attempt(self, batch: list[Delivery]) -> str | None:
        """Invoke the function; what went wrong, if anything did."""
        mapping, messages = self._mapping, [delivery.message for delivery in batch]
        event = rmq_event(mapping.queue, self._vhost, messages, broker_arn=mapping.broker_arn)
        self.at_work += 1
        try:
            await succeeding(self._invoke(mapping.function, event, source="queue"))
        except Failed as exc:
            return str(exc)
        finally:
            self.at_work -= 1
        return None


def _length(delivery: Delivery) -> int:
    """Bytes of the message in an event. Raises MalformedMessage."""
    length = len(json.dumps(rmq_record(delivery.message)))
    if length > PAYLOAD_LIMIT:
        raise MalformedMessage(f"it has {len(delivery.message.body)} bytes")
    return length
