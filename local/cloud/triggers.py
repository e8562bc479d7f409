"""The triggers of a running stack: those its template declares, also after the template has changed."""

import asyncio
from collections.abc import Callable, Collection, Iterator

from pika import ConnectionParameters  # type: ignore[import-untyped] # pika ships no py.typed

from local.asynchronous import EventQueue
from local.invoker import Invoker
from local.template import Template
from local.template.spec import QueueMapping, Schedule
from local.tracing.cloud import continuing
from local.triggers.queue import Profile, QueueTrigger
from local.triggers.schedule import ScheduleTrigger

Declared = QueueMapping | Schedule
Trigger = QueueTrigger | ScheduleTrigger


class BrokerUnknown(Exception):
    """The template has queue triggers, but there is no broker to consume from; the text says what to do."""


class Triggers:
    """A trigger for each queue mapping and schedule; `floor` is how often rate(1 minute) runs, in seconds."""

    def __init__(
        self,
        invoker: Invoker,
        events: EventQueue,
        broker: ConnectionParameters | None,
        *,
        floor: float,
        profile: Profile = "lambda",
        report: Callable[[str], None],
        declare: Callable[[Collection[str]], None] | None = None,
    ) -> None:
        """`declare` makes the queues exist, where that is ours to do."""
        self._declare = declare
        self._invoker, self._events, self._broker = invoker, events, broker
        self._floor, self._report = floor, report
        self._profile = profile
        self._running: dict[str, tuple[Declared, Trigger]] = {}

    def __iter__(self) -> Iterator[Trigger]:
        return (trigger for _, trigger in self._running.values())

    @property
    def schedules(self) -> list[ScheduleTrigger]:
        return [trigger for trigger in self if isinstance(trigger, ScheduleTrigger)]

    async def follow(self, template: Template) -> None:
        """Start what is new in the template, stop what is gone, restart what differs.

        Raises BrokerUnknown and BadSchedule; then nothing has changed.
        """
        declared: list[Declared] = [*(queue for queue in template.queues if queue.enabled), *template.schedules]
        wanted = {each.name: each for each in declared}
        new = {name: (each, self._made(each)) for name, each in wanted.items() if not self._runs(each)}
        gone = [name for name in self._running if name in new or name not in wanted]
        if self._declare and any(isinstance(each, QueueMapping) for each, _ in new.values()):
            await asyncio.to_thread(self._declare, [queue.queue for queue in template.queues])
        await asyncio.gather(*(_stopped(self._running.pop(name)[1]) for name in gone))
        self._running |= new
        for _, trigger in new.values():
            trigger.start()

    async def stop(self) -> None:
        await asyncio.gather(*map(_stopped, self))

    def _runs(self, declared: Declared) -> bool:
        return declared.name in self._running and self._running[declared.name][0] == declared

    def _made(self, declared: Declared) -> Trigger:
        if isinstance(declared, Schedule):
            return ScheduleTrigger(declared, self._events.invoke, fastest=self._floor, report=self._report)
        if self._broker is None:
            raise BrokerUnknown(
                f"Queue {declared.queue} needs a broker: put RABBITMQ_HOST, RABBITMQ_USER and RABBITMQ_PASSWORD "
                "into .env, or start `facet up` anew with its services."
            )
        invoke = continuing(self._invoker.invoke)
        return QueueTrigger(declared, self._broker, invoke, profile=self._profile, report=self._report)


async def _stopped(trigger: Trigger) -> None:
    await (trigger.stop(grace=2.0) if isinstance(trigger, QueueTrigger) else trigger.stop())
