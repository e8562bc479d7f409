"""Events nobody waits for: accepted at once, repeated when they fail, their end told to a destination."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.invocation import Invocation, Invokes
from local.invoker import UnknownFunction
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Busy, Refused
from local.sandbox.sandbox import ARN
from local.template import Template
from local.template.spec import Asynchronous

_MOST_EVENTS = 10_000
_MOST_HOPS = 16  # where AWS ends functions that invoke each other in a circle
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds, for a place to run


@dataclass(frozen=True)
class Event:
    function: str
    body: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    source: str = "edge"
    trace: str | None = None
    hops: int = 0
    awaited: bool = False


@dataclass(frozen=True)
class _End:
    condition: str  # as AWS names it: Success, RetriesExhausted, EventAgeExceeded
    count: int  # how often the function was invoked
    invocation: Invocation | None


class EventQueue:
    """What stands before the functions. AWS repeats after one minute and two, this after `retry_seconds` and twice."""

    def __init__(
        self,
        invoker: Invokes,
        template: Callable[[], Template],
        *,
        retry_seconds: float = 60.0,
        report: Callable[[str], None] = print,
    ) -> None:
        self._invoker, self._template = invoker, template
        self._retry_seconds, self._report = retry_seconds, report
        self._events: dict[asyncio.Task[_End], Event] = {}
        self._stopping = asyncio.Event()

    async def invoke(self, name: str, event: Mapping[str, Any] | bytes, *, source: str = "schedule") -> Invocation:
        """Accept the event and wait for its end: the last invocation. Raises UnknownFunction and Busy."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        end = await asyncio.shield(self.accept(Event(name, body, source=source, awaited=True)))
        if end.invocation is None:
            raise Busy(f"{name} was never free to take its event")
        return end.invocation

    def accept(self, event: Event) -> "asyncio.Task[_End]":
        """Take an event; nobody needs to wait. Raises UnknownFunction, and Busy where too many wait already."""
        spec = self._template().functions.get(event.function)
        if spec is None:
            raise UnknownFunction(f"there is no function {event.function}")
        if len(self._events) >= _MOST_EVENTS:
            raise Busy(f"{_MOST_EVENTS} events wait already")
        task = asyncio.get_running_loop().create_task(self._run(event, spec.asynchronous))
        self._events[task] = event
        task.add_done_callback(self._done)
        return task

    async def stop(self, *, grace: float = 5.0) -> None:
        """Wait for no retry, and report what is not done after `grace` seconds."""
        self._stopping.set()
        end = time.monotonic() + grace
        while self._events and (left := end - time.monotonic()) > 0:
            await asyncio.wait(self._events, timeout=left)
        for task in self._events:
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)

    def _done(self, task: "asyncio.Task[_End]") -> None:
        event = self._events.pop(task)
        if task.cancelled():
            self._report(f"{event.function}: the event {event.request_id} was accepted and is not done; it is lost")
        elif failure := task.exception():
            self._report(f"{event.function}: the event {event.request_id} is lost: {failure!r}")

    async def _run(self, event: Event, config: Asynchronous) -> _End:
        end = await self._ended(event, config)
        destination = config.on_success if end.condition == "Success" else config.on_failure
        if destination and event.hops < _MOST_HOPS:
            record = json.dumps(_record(event, end)).encode()
            self.accept(Event(destination, record, source=event.source, hops=event.hops + 1))
        elif end.condition != "Success" and not event.awaited:
            self._report(f"{event.function}: the event {event.request_id} is dropped ({end.condition})")
        return end

    async def _ended(self, event: Event, config: Asynchronous) -> _End:
        accepted, count, refusals = time.monotonic(), 0, 0
        invocation: Invocation | None = None
        while True:
            try:
                invocation = await self._invoker.invoke(
                    event.function,
                    event.body,
                    request_id=event.request_id,
                    trace=event.trace,
                    source=event.source,
                )
            except (Refused, LaunchFailed):  # throttled: AWS goes on until the event is too old
                wait = min(_FIRST_WAIT * 2**refusals, _LONGEST_WAIT)
                refusals += 1
            else:
                count += 1
                if invocation.function_error is None:
                    return _End("Success", count, invocation)
                if count > config.retries:
                    return _End("RetriesExhausted", count, invocation)
                wait = self._retry_seconds * count
            if time.monotonic() - accepted + wait > config.max_age:
                return _End("EventAgeExceeded", count, invocation)
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        """Not when stopping: what can still be done is done at once."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
                await asyncio.sleep(min(seconds, _FIRST_WAIT))
        except TimeoutError:
            return


def _record(event: Event, end: _End) -> dict[str, Any]:
    """The invocation record that AWS sends to a destination."""
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": f"{ARN.format(event.function)}:$LATEST",
            "condition": end.condition,
            "approximateInvokeCount": end.count,
        },
        "requestPayload": _value(event.body),
    }
    if end.invocation:
        error = {"functionError": end.invocation.function_error} if end.invocation.function_error else {}
        record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST", **error}
        record["responsePayload"] = _value(end.invocation.payload)
    return record


def _value(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:  # a handler may return any bytes
        return payload.decode(errors="replace")
