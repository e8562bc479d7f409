"""Deliver as Knative's RabbitmqSource does: each message as a CloudEvent of its own, several at once.

A 2xx acknowledges it. 404, 408, 409, 429 and 5xx are tried again with growing pauses (`delivery.retry`). A message that
does not succeed, or has another answer, is rejected: the queue's dead-letter exchange gets it, without one it is gone.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from local.events import message_event
from local.invocation import Invocation
from local.template.spec import QueueMapping
from local.triggers.amqp import Consumer, ConsumerLost, Delivery, Pause
from local.triggers.invocations import Failed, Invoke, succeeding

PARALLELISM = 10  # a RabbitmqSource has 1 unless told; Knative's own examples have 10, which shows what order hides
RETRIES = 5  # as in Knative's examples
_WORTH_ANOTHER_TRY = frozenset({404, 408, 409, 429})


class Singles:
    """Serves one consumer after the other."""

    prefetch = PARALLELISM

    def __init__(
        self,
        mapping: QueueMapping,
        invoke: Invoke,
        pause: Pause,
        *,
        report: Callable[[str], None],
        backoff: tuple[float, float],
    ) -> None:
        self.at_work = 0
        self._mapping, self._invoke, self._pause = mapping, invoke, pause
        self._report, self._backoff = report, backoff

    async def serve(self, consumer: Consumer, stopping: asyncio.Event) -> None:
        """Raises ConsumerLost."""
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(PARALLELISM):
                    group.create_task(self._work(consumer, stopped))
        except ExceptionGroup as problems:
            raise problems.exceptions[0] from None
        finally:
            stopped.cancel()

    async def _work(self, consumer: Consumer, stopped: "asyncio.Future[Any]") -> None:
        while not stopped.done():
            if delivery := await consumer.next(None, stopped):
                await self._settle(consumer, delivery, stopped)

    async def _settle(self, consumer: Consumer, delivery: Delivery, stopped: "asyncio.Future[Any]") -> None:
        delay, longest = self._backoff
        event = message_event(self._mapping.queue, self._mapping.name, delivery.message)
        for left in reversed(range(RETRIES + 1)):
            status, failure = await self._attempt(event)
            if status // 100 == 2:
                return consumer.ack(delivery.tag)
            if not left or not (status >= 500 or status in _WORTH_ANOTHER_TRY):
                break
            self._report(f"{self._mapping.name}: {failure}; the message is kept and tried {left} times more")
            await self._pause(delay, consumer.lost)
            delay = min(delay * 2, longest)
            if consumer.lost.done():  # the broker has given the message back to the queue
                raise ConsumerLost(consumer.lost.result())
            if stopped.done():
                return None
        self._report(f"{self._mapping.name}: {failure}; the message is rejected")
        return consumer.reject(delivery.tag)

    async def _attempt(self, event: dict[str, Any]) -> tuple[int, str]:
        """The HTTP status a RabbitmqSource would see, and what went wrong."""
        self.at_work += 1
        try:
            status = _status(await succeeding(self._invoke(self._mapping.function, event, source="queue")))
        except Failed as exc:
            return 500, str(exc)
        finally:
            self.at_work -= 1
        return status, f"{self._mapping.function} answered {status}"


def _status(invocation: Invocation) -> int:
    """A function's result is a 200 unless it names another status."""
    try:
        result = json.loads(invocation.payload)
    except ValueError:
        return 200
    status = result.get("statusCode") if isinstance(result, dict) else None
    return status if isinstance(status, int) else 200
