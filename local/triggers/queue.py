"""The event source mapping of a RabbitMQ queue, as a cloud's trigger delivers it (its profile).

Nothing ends a trigger but `stop`: what nobody expected is reported, and consuming begins anew.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Literal

from pika import ConnectionParameters  # type: ignore[import-untyped] # pika ships no py.typed

from local.template.spec import QueueMapping
from local.triggers.amqp import Consumer, ConsumerLost
from local.triggers.batches import Batches
from local.triggers.invocations import Invoke
from local.triggers.singles import Singles

Profile = Literal["lambda", "knative"]


class QueueTrigger:
    """Runs until stopped, through broker restarts and before the queue exists."""

    def __init__(
        self,
        mapping: QueueMapping,
        parameters: ConnectionParameters,
        invoke: Invoke,
        *,
        profile: Profile = "lambda",
        report: Callable[[str], None] = print,
        backoff: tuple[float, float] = (1.0, 30.0),
    ) -> None:
        self._mapping, self._parameters = mapping, parameters
        self._report, self._backoff = report, backoff
        vhost = parameters.virtual_host
        self._delivering: Batches | Singles = (
            Singles(mapping, invoke, self._pause, report=report, backoff=backoff)
            if profile == "knative"
            else Batches(mapping, vhost, invoke, self._pause, report=report, backoff=backoff)
        )
        self._delay = backoff[0]
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._complaint = ""

    @property
    def alive(self) -> bool:
        """Whether it consumes, or tries to."""
        return self._running is not None and not self._running.done()

    def start(self) -> None:
        logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it would log is reported here
        if self._mapping.filters and isinstance(self._delivering, Singles):
            self._report(f"{self._mapping.name}: a RabbitmqSource has no FilterCriteria, so every message is delivered")
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, *, grace: float = 5.0) -> None:
        """Take nothing further; let what is at work finish and be acked for `grace` seconds."""
        self._stopping.set()
        if self._running:
            if self._delivering.at_work:
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
        consumer = await Consumer.open(self._parameters, self._mapping.queue, prefetch=self._delivering.prefetch)
        self._complain("")
        try:
            await self._delivering.serve(consumer, self._stopping)
        except ConsumerLost:
            self._delay = self._backoff[0]
            raise
        finally:
            await consumer.close()

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
