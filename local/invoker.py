"""Owns the sandboxes and hands them events: limits, concurrency, crashes, logs and reports."""

import asyncio
import json
import math
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from local.logs import FunctionLog
from local.sandbox import faults, memory
from local.sandbox.forks import ForkLauncher
from local.sandbox.launcher import Launcher, LaunchFailed, SpawnLauncher
from local.sandbox.pool import Bounds, Busy, Lease, Pool, Refused
from local.sandbox.report import Report, end_line, start_line
from local.sandbox.sandbox import InitFailed, NotBegun, Outcome, Sandbox
from local.template import Template
from local.template.spec import FunctionSpec

_ATTEMPTS = 3
_WATCH_SECONDS = 0.05


class UnknownFunction(Exception):
    """The template has no such function."""


class EventTooLarge(Refused):
    """The event is bigger than a function may be given (Lambda's RequestEntityTooLargeException)."""


@dataclass(frozen=True)
class Limits:
    """Bytes. Base64 makes a binary body a third bigger as an event."""

    request_body: int
    event: int
    response: int


LIMITS = {
    "local": Limits(request_body=11_534_336, event=20_971_520, response=20_971_520),
    "lambda": Limits(request_body=6_291_456, event=6_291_456, response=6_291_556),
}


@dataclass(frozen=True)
class Invocation:
    """A finished call. `payload` is the result, or the error object when `function_error` is set."""

    request_id: str
    function: str
    payload: bytes
    function_error: str | None
    log: str
    report: Report
    event: bytes = b""
    source: str = "invoke"
    """Who called: http, queue, schedule, edge or invoke (the command line)."""
    trace: str = ""
    """The X-Ray trace header it ran with."""
    started: float = 0.0
    """When the event was accepted, in seconds since 1970."""


class Invoker:
    """Runs the functions of a template. `launch="spawn"` gives every sandbox a fresh interpreter."""

    def __init__(
        self,
        template: Template,
        *,
        logs: Path,
        limits: Literal["local", "lambda"] = "local",
        bounds: Bounds | None = None,
        launch: Literal["fork", "spawn"] = "fork" if sys.platform == "linux" else "spawn",
        report: Callable[[str], None] = print,
        on_invocation: Callable[[Invocation], None] | None = None,
    ) -> None:
        self.template = template
        self.limits = LIMITS[limits]
        self._logs = {name: FunctionLog(logs / f"{name}.log") for name in template.functions}
        self._launcher = _launcher(template, launch, logs, report)
        self._bounds = bounds or Bounds()
        self._pool: Pool
        self._on_invocation = on_invocation
        self._running: set[asyncio.Task[Invocation]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = self._closed = False

    async def start(self) -> None:
        """Make ready to start sandboxes. Raises LaunchFailed."""
        self._pool = Pool(self._bounds)
        await self._launcher.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, *, grace: float = 5.0) -> None:
        """Accept nothing more, let what runs finish for `grace` seconds, end every process."""
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        self._closed = True
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            await self._pool.close()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._launcher.stop()
        for log in self._logs.values():
            log.close()

    async def invoke(
        self,
        name: str,
        event: Mapping[str, Any] | bytes,
        *,
        request_id: str | None = None,
        trace: str | None = None,
        source: str = "invoke",
    ) -> Invocation:
        """Call the function and wait for its result. It runs to its end also when the caller is cancelled.

        Raises UnknownFunction, LaunchFailed and what is Refused: EventTooLarge, Throttled, Busy.
        """
        spec = self._spec(name)
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        if len(body) > self.limits.event:
            raise EventTooLarge(f"the event has {len(body)} bytes, {name} may be given {self.limits.event}")
        if self._stopping:
            raise Busy("the invoker is stopping")
        request_id = request_id or str(uuid.uuid4())
        task = asyncio.create_task(self._invoke(spec, body, request_id, trace or new_trace(), source))
        self._running.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def recycle(self, name: str) -> None:
        """Later invocations import the function anew; those that run now finish as they are."""
        self._pool.recycle(self._spec(name).name)

    def sandboxes(self) -> dict[str, dict[str, int]]:
        """How many sandboxes each function has, and how many of them are idle."""
        return self._pool.counts()

    def _spec(self, name: str) -> FunctionSpec:
        try:
            return self.template.functions[name]
        except KeyError:
            known = ", ".join(sorted(self.template.functions))
            raise UnknownFunction(f"there is no function {name}; the template has {known}") from None

    def _finished(self, task: "asyncio.Task[Invocation]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller has gone

    async def _invoke(self, spec: FunctionSpec, event: bytes, request_id: str, trace: str, source: str) -> Invocation:
        started = time.time()
        lease = await self._pool.acquire(spec)
        try:
            done = await self._run(lease, event, request_id, trace)
        finally:
            self._pool.release(lease)
        done = replace(done, event=event, source=source, trace=trace, started=started)
        if self._on_invocation:
            self._on_invocation(done)
        return done

    async def _run(self, lease: Lease, event: bytes, request_id: str, trace: str) -> Invocation:
        """One that no handler has seen yet is given to another sandbox; a handler that has it is never asked twice."""
        spec, log = lease.spec, self._logs[lease.spec.name]
        announced = False
        for _ in range(_ATTEMPTS):
            init_ms = None
            try:
                if lease.sandbox is None:
                    init_ms = await self._start(lease, request_id)
                assert lease.sandbox is not None
                if not announced:
                    log.write(start_line(request_id))
                    announced = True
                outcome = await lease.sandbox.invoke(request_id, event, trace=trace)
            except NotBegun:
                lease.sandbox = None
                continue
            except InitFailed as exc:
                if not announced:
                    log.write(start_line(request_id))
                outcome = exc.outcome
            return self._ended(spec, request_id, outcome, init_ms)
        raise LaunchFailed(f"{_ATTEMPTS} sandboxes of {spec.name} died before they got the event")

    async def _start(self, lease: Lease, request_id: str) -> float:
        """A new sandbox for the lease; how long it took, in milliseconds."""
        started = time.perf_counter()
        log = self._logs[lease.spec.name]
        lease.sandbox = await Sandbox.launch(lease.spec, self._launcher, body_limit=self.limits.response, log=log)
        if self._closed:
            await lease.sandbox.end()
            raise Busy("the invoker is stopping")
        await lease.sandbox.initialise(request_id, response_limit=self.limits.response)
        return (time.perf_counter() - started) * 1000

    def _ended(self, spec: FunctionSpec, request_id: str, outcome: Outcome, init_ms: float | None) -> Invocation:
        failed = outcome.status != "success"
        report = Report(
            request_id,
            outcome.duration_ms,
            spec.memory,
            math.ceil(outcome.max_memory_kb / 1024),
            init_ms,
            outcome.status,
            faults.error_type(outcome.payload) if failed else None,
        )
        ending = f"{end_line(request_id)}\n{report}"
        self._logs[spec.name].write(ending)
        log = f"{start_line(request_id)}\n{outcome.log}{ending}\n"
        return Invocation(request_id, spec.name, outcome.payload, "Unhandled" if failed else None, log, report)

    async def _watch(self) -> None:
        """Enforce memory limits and end what has been idle for long."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for sandbox in self._pool.at_work():
                if sandbox.alive and memory.exceeds(sandbox.process.pid, sandbox.spec.memory):
                    sandbox.out_of_memory = True
                    sandbox.process.kill()
            self._pool.expire()


def new_trace() -> str:
    """An X-Ray trace header: what AWS puts on every request."""
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"


def _launcher(template: Template, launch: str, logs: Path, report: Callable[[str], None]) -> Launcher:
    if launch == "spawn":
        return SpawnLauncher()
    sources = dict.fromkeys(path for spec in template.functions.values() for path in (spec.code, *spec.layers))
    return ForkLauncher(template.requirements, list(sources), log=logs / "zygote.log", report=report)
