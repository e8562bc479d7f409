"""A schedule is due when EventBridge says so, and its function never runs twice at once."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.invocation import Invocation
from local.sandbox.pool import Busy
from local.sandbox.report import Report
from local.template.spec import Schedule
from local.triggers.cron import BadSchedule, parse
from local.triggers.schedule import ScheduleTrigger, UnknownSchedule, named

NOW = datetime(2026, 11, 22, 20, 30, 15, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(1 minute)", "2026-11-22T20:31:15"),
        ("rate(5 minutes)", "2026-11-22T20:35:15"),
        ("rate(2 hours)", "2026-11-22T22:30:15"),
        ("rate(1 day)", "2026-11-23T20:30:15"),
        ("cron(0/15 * * * ? *)", "2026-11-22T20:45:00"),
        ("cron(* * * * ? *)", "2026-11-22T20:31:00"),
        ("cron(30 20 * * ? *)", "2026-11-23T20:30:00"),
        ("cron(0 12 ? * MON-FRI *)", "2026-11-23T12:00:00"),
        ("cron(0 12 ? * 1 *)", "2026-11-29T12:00:00"),
        ("cron(0 12 ? * SAT,SUN *)", "2026-11-28T12:00:00"),
        ("cron(15 10 L * ? *)", "2026-11-30T10:15:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01T08:00:00"),
        ("cron(0 8 1W 8 ? *)", "2027-08-02T08:00:00"),
        ("cron(0 8 31W 10 ? 2027)", "2027-10-29T08:00:00"),
        ("cron(0 0 ? * 6L *)", "2026-11-27T00:00:00"),
        ("cron(0 0 ? * 3#2 *)", "2026-12-08T00:00:00"),
        ("cron(0 0 ? * L *)", "2026-11-28T00:00:00"),
        ("cron(5,10 6-8/2 ? JAN-MAR WED *)", "2027-01-06T06:05:00"),
        ("cron(0 0 29 2 ? *)", "2028-02-29T00:00:00"),
    ],
)
def test_an_expression_is_due_next(expression: str, due: str) -> None:
    assert parse(expression).after(NOW) == datetime.fromisoformat(f"{due}+00:00")


def test_a_time_zone_moves_what_is_due() -> None:
    assert parse("cron(0 3 * * ? *)", "Europe/Berlin").after(NOW) == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def test_a_past_year_is_never_due() -> None:
    assert parse("cron(0 0 1 1 ? 2020)").after(NOW) is None


@pytest.mark.parametrize(
    "expression",
    [
        "every minute",
        "rate(0 minutes)",
        "rate(5 parsecs)",
        "rate(five minutes)",
        "at(2026-12-01T00:00:00)",
        "cron(* * * * *)",
        "cron(* * * * * *)",
        "cron(60 * * * ? *)",
        "cron(0 0 0 * ? *)",
        "cron(0 0 ? * FOO *)",
        "cron(0/0 * * * ? *)",
    ],
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(BadSchedule, match=r"."):
        parse(expression)


class FakeClock:
    """Time passes only when somebody sleeps; sleeping past `end` ends the test's patience."""

    def __init__(self, end: timedelta) -> None:
        self.time, self.end = NOW, NOW + end

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        if self.time > self.end:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


class Calls:
    """Stands for the invoker: notes the events, takes its time, and fails when told to."""

    def __init__(self, clock: FakeClock, *, takes: float = 0.0, failures: int = 0, refusals: int = 0) -> None:
        self.events: list[Any] = []
        self.at_once = 0
        self.most_at_once = 0
        self._clock, self._takes, self._failures, self._refusals = clock, takes, failures, refusals

    async def invoke(self, name: str, event: Mapping[str, Any] | bytes, *, source: str) -> Invocation:
        self.events.append(json.loads(event) if isinstance(event, bytes) else event)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._clock.time += timedelta(seconds=self._takes)
        await asyncio.sleep(0)
        self.at_once -= 1
        if len(self.events) <= self._refusals:
            raise Busy("no sandbox")
        failed = len(self.events) <= self._failures
        report = Report("id", 1.0, 128, 20, error_type="Boom" if failed else None)
        return Invocation("id", name, b"null", "Unhandled" if failed else None, "", report)


def ran(schedule: Schedule, clock: FakeClock, calls: Calls, *, fastest: float | None = None) -> list[str]:
    """Let the schedule run until the clock's end; what it reported."""
    reports: list[str] = []

    async def run() -> None:
        trigger = ScheduleTrigger(schedule, calls.invoke, fastest=fastest, clock=clock, report=reports.append)
        trigger.start()
        async with asyncio.timeout(5):
            while clock.time <= clock.end and schedule.enabled:
                await asyncio.sleep(0)
        await trigger.stop()

    asyncio.run(run())
    return reports


def sweep(expression: str = "rate(1 minute)", **changed: Any) -> Schedule:
    return Schedule("relay.Sweep", "relay", expression, **changed)


def test_a_rate_invokes_with_the_time_it_was_due() -> None:
    clock = FakeClock(timedelta(minutes=3, seconds=1))
    calls = Calls(clock)
    assert ran(sweep(), clock, calls) == []
    assert [event["time"] for event in calls.events] == [
        "2026-11-22T20:31:15Z",
        "2026-11-22T20:32:15Z",
        "2026-11-22T20:33:15Z",
    ]
    assert calls.events[0]["source"] == "aws.events"


def test_the_clouds_floor_can_be_lower_here() -> None:
    clock = FakeClock(timedelta(seconds=21))
    calls = Calls(clock)
    ran(sweep(), clock, calls, fastest=5)
    assert len(calls.events) == 4


def test_only_what_the_floor_holds_back_runs_faster() -> None:
    clock = FakeClock(timedelta(minutes=11))
    calls = Calls(clock)
    ran(sweep("rate(5 minutes)"), clock, calls, fastest=5)
    assert len(calls.events) == 2


def test_a_long_run_is_not_overlapped_and_what_it_missed_is_not_made_up_for() -> None:
    clock = FakeClock(timedelta(minutes=10))
    calls = Calls(clock, takes=150)
    ran(sweep(), clock, calls)
    assert len(calls.events) == 3
    assert calls.most_at_once == 1


def test_a_failure_is_reported_and_tried_again_when_next_due() -> None:
    clock = FakeClock(timedelta(minutes=3, seconds=1))
    calls = Calls(clock, failures=1)
    assert ran(sweep(), clock, calls) == ["relay.Sweep: relay failed (Boom); tried again when next due"]
    assert len(calls.events) == 3


def test_a_refusal_is_reported_and_tried_again_when_next_due() -> None:
    clock = FakeClock(timedelta(minutes=2, seconds=1))
    calls = Calls(clock, refusals=1)
    assert ran(sweep(), clock, calls) == ["relay.Sweep: no sandbox; tried again when next due"]
    assert len(calls.events) == 2


def test_no_error_ends_the_schedule() -> None:
    clock = FakeClock(timedelta(minutes=3, seconds=1))
    attempts: list[str] = []
    reports: list[str] = []

    async def invoke(name: str, event: Mapping[str, Any] | bytes, *, source: str) -> Invocation:
        attempts.append(name)
        raise OSError("No space left on device")

    def report(text: str) -> None:
        reports.append(text)
        raise BrokenPipeError

    async def run() -> None:
        trigger = ScheduleTrigger(sweep(), invoke, clock=clock, report=report)
        assert not trigger.alive
        trigger.start()
        async with asyncio.timeout(5):
            while clock.time <= clock.end:
                await asyncio.sleep(0)
        assert trigger.alive
        await trigger.stop()
        assert not trigger.alive

    asyncio.run(run())
    assert len(attempts) == 3
    assert reports == ["relay.Sweep: OSError: No space left on device; tried again when next due"] * 3


@pytest.mark.parametrize("resting", [sweep(enabled=False), sweep("cron(0 0 1 1 ? 2020)")], ids=["disabled", "past"])
def test_a_schedule_with_nothing_to_do_is_alive(resting: Schedule) -> None:
    async def run() -> bool:
        clock = FakeClock(timedelta(minutes=5))
        trigger = ScheduleTrigger(resting, Calls(clock).invoke, clock=clock)
        trigger.start()
        await asyncio.sleep(0)
        return trigger.alive

    assert asyncio.run(run())


def test_a_schedule_sends_its_own_input() -> None:
    clock = FakeClock(timedelta(minutes=1, seconds=1))
    calls = Calls(clock)
    ran(sweep(input='{"night": true}'), clock, calls)
    assert calls.events == [{"night": True}]


def test_a_disabled_schedule_is_never_due_but_can_be_fired() -> None:
    clock = FakeClock(timedelta(minutes=5))
    calls = Calls(clock)
    ran(sweep(enabled=False), clock, calls)
    assert calls.events == []

    async def fire() -> None:
        await ScheduleTrigger(sweep(enabled=False), calls.invoke, clock=clock).fire(NOW)

    asyncio.run(fire())
    assert calls.events[0]["time"] == "2026-11-22T20:30:15Z"


def test_firing_waits_for_the_run_under_way() -> None:
    clock = FakeClock(timedelta(minutes=5))
    calls = Calls(clock)

    async def fire() -> None:
        trigger = ScheduleTrigger(sweep(), calls.invoke, clock=clock)
        await asyncio.gather(trigger.fire(), trigger.fire())

    asyncio.run(fire())
    assert (len(calls.events), calls.most_at_once) == (2, 1)


def test_the_input_of_a_scheduler_may_ask_for_the_time() -> None:
    clock = FakeClock(timedelta(minutes=1, seconds=1))
    calls = Calls(clock)
    ran(sweep(input='{"now": "<aws.scheduler.scheduled-time>"}', source="aws.scheduler"), clock, calls)
    assert calls.events == [{"now": "2026-11-22T20:31:15Z"}]


def test_a_schedule_tells_when_it_is_due() -> None:
    async def run() -> list[Any]:
        clock = FakeClock(timedelta(seconds=0))
        triggers = [ScheduleTrigger(each, Calls(clock).invoke, clock=clock) for each in (sweep(), sweep(enabled=False))]
        for trigger in triggers:
            trigger.start()
        await asyncio.sleep(0)
        rows = [trigger.described() for trigger in triggers]
        for trigger in triggers:
            await trigger.stop()
        return rows

    first, second = asyncio.run(run())
    assert first == {
        "name": "relay.Sweep",
        "function": "relay",
        "expression": "rate(1 minute)",
        "timezone": "UTC",
        "enabled": True,
        "due": "2026-11-22T20:31:15+00:00",
    }
    assert (second["enabled"], second["due"]) == (False, None)


def test_a_schedule_is_known_by_its_name_or_that_of_its_only_function() -> None:
    clock = FakeClock(timedelta(0))
    schedules = [sweep(), Schedule("tick.A", "tick", "rate(1 day)"), Schedule("tick.B", "tick", "rate(1 day)")]
    triggers = [ScheduleTrigger(each, Calls(clock).invoke, clock=clock) for each in schedules]
    assert [named(triggers, name) for name in ("relay.Sweep", "relay", "tick.B")] == [
        triggers[0],
        triggers[0],
        triggers[2],
    ]
    with pytest.raises(UnknownSchedule, match=r"tick is more than one schedule. There are: tick.A, tick.B\."):
        named(triggers, "tick")
    with pytest.raises(UnknownSchedule, match=r"tock is no schedule. There are: relay.Sweep, tick.A, tick.B\."):
        named(triggers, "tock")
