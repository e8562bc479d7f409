"""Invokes a function when its schedule is due: never twice at once, and a failure waits for the next time."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from local.events import schedule_event
from local.invocation import Invocation
from local.suggestions import there_are
from local.template.spec import Schedule
from local.triggers.cron import Rate, parse
from local.triggers.invocations import Failed, Invoke, succeeding


class UnknownSchedule(Exception):
    """There is no such schedule, or more than one; the text lists them."""


FLOOR_SECONDS = 60.0  # the cloud runs nothing more often
_LONGEST_SLEEP = 30.0  # a machine that was suspended has slept without its clock


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, with its zone."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ScheduleTrigger:
    """One schedule. `fastest` (seconds) replaces the cloud's floor: `rate(1 minute)` then is due that often.

    Raises BadSchedule.
    """

    def __init__(
        self,
        schedule: Schedule,
        invoke: Invoke,
        *,
        fastest: float | None = None,
        clock: Clock | None = None,
        report: Callable[[str], None] = print,
    ) -> None:
        self.schedule = schedule
        self._invoke, self._report = invoke, report
        self._clock = clock or SystemClock()
        due = parse(schedule.expression, schedule.timezone)
        self._due = Rate(fastest) if fastest and due == Rate(FLOOR_SECONDS) else due
        self._one_run = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self.due: datetime | None = None
        """When it is due next; None for one that is disabled or never due again."""

    @property
    def alive(self) -> bool:
        """Whether it will be due. One that is disabled, or never due again, is as it should be: alive too."""
        if self._running is None:
            return not self.schedule.enabled
        if not self._running.done():
            return True
        return not self._running.cancelled() and self._running.exception() is None

    def described(self) -> dict[str, Any]:
        """A row of `facet schedule list`."""
        schedule = self.schedule
        return {
            "name": schedule.name,
            "function": schedule.function,
            "expression": schedule.expression,
            "timezone": schedule.timezone,
            "enabled": schedule.enabled,
            "due": self.due and self.due.isoformat(timespec="seconds"),
        }

    def start(self) -> None:
        if self.schedule.enabled:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Due no more. An invocation that runs is the invoker's to finish."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def fire(self, moment: datetime | None = None, *, invoke: Invoke | None = None) -> Invocation:
        """Invoke the function as if it were due at this moment, after a run that is under way.

        `invoke` is another way than that of the clock, such as one without retries.

        Raises what the invoker raises.
        """
        async with self._one_run:
            event = event_of(self.schedule, moment or self._clock.now())
            return await (invoke or self._invoke)(self.schedule.function, event, source="schedule")

    async def _run(self) -> None:
        self.due = self._due.after(self._clock.now())
        while self.due is not None:
            while (remaining := (self.due - self._clock.now()).total_seconds()) > 0:
                await self._clock.sleep(min(remaining, _LONGEST_SLEEP))
            await self._fire_reporting(self.due)
            self.due = self._due.after(max(self.due, self._clock.now()))  # what became due during the run is missed

    async def _fire_reporting(self, due: datetime) -> None:
        try:
            await succeeding(self.fire(due))
        except Failed as exc:
            problem = str(exc)
        except Exception as exc:  # a fault of ours or of the disk: no reason to be due no more
            problem = f"{type(exc).__name__}: {exc}"
        else:
            return
        with contextlib.suppress(OSError):  # nobody reads the report
            self._report(f"{self.schedule.name}: {problem}; tried again when next due")


def event_of(schedule: Schedule, moment: datetime) -> Mapping[str, Any] | bytes:
    """What the function is given when the schedule is due: the template's `Input`, if there is one."""
    event = schedule_event(schedule.name, moment, source=schedule.source)
    if schedule.input is None:
        return event
    text = schedule.input if isinstance(schedule.input, str) else json.dumps(schedule.input)
    if schedule.source == "aws.scheduler":  # its input may ask for these
        for name, value in (("scheduled-time", "time"), ("execution-id", "id")):
            text = text.replace(f"<aws.scheduler.{name}>", event[value])
    return text.encode()


def named(triggers: Iterable[ScheduleTrigger], name: str) -> ScheduleTrigger:
    """The schedule of this name, or the only one of the function of this name. Raises UnknownSchedule."""
    known = list(triggers)
    found = [each for each in known if name in (each.schedule.name, each.schedule.function)]
    if len(found) != 1:
        names = there_are((each.schedule.name for each in (found or known)), name)
        raise UnknownSchedule(f"{name} is {'more than one' if found else 'no'} schedule. {names}")
    return found[0]
