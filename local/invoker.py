"""Owns the sandboxes and hands them events: limits, concurrency, crashes, logs and reports."""

import asyncio
import contextlib
import json
import math
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from local import xray
from local.invocation import LIMITS, Invocation
from local.logs import FunctionLog
from local.reload import Renewal
from local.sandbox import faults
from local.sandbox.forks import ForkLauncher
from local.sandbox.how import How
from local.sandbox.launcher import Launcher, LaunchFailed, SpawnLauncher
from local.sandbox.pool import Bounds, Busy, Lease, Pool, Refused
from local.sandbox.report import Import, Report, end_line, start_line
from local.sandbox.sandbox import InitFailed, NotBegun, OnSpans, Outcome, Sandbox, Surroundings
from local.sandbox.walls import available
from local.suggestions import there_are
from local.template import Template
from local.template.spec import FunctionSpec

_ATTEMPTS = 3
_WATCH_SECONDS = 0.05
_READY_SECONDS = 5.0
_USUAL = How()
Runtime = Literal["sandbox", "awslambdaric"]


class UnknownFunction(Exception):
    """The template has no such function."""


class _LeftToOlder(Exception):
    """The function can no longer be imported, but sandboxes that have imported it before live."""


class EventTooLarge(Refused):
    """The event is bigger than a function may be given (Lambda's RequestEntityTooLargeException)."""


class Invoker:
    """Runs the functions of a template.

    `honest_cold` gives every sandbox a fresh interpreter instead of a fork. `debug` names functions that get one
    sandbox, in which debugpy listens on the port given. `runtime` may be AWS's own interface client. With `on_spans`
    sandboxes trace what they do. They can write to a /tmp of their own and to what is `visible`, without `walls`
    everywhere; nor can they read what is `hidden`.
    """

    def __init__(
        self,
        template: Template,
        *,
        logs: Path,
        limits: Literal["local", "lambda"] = "local",
        bounds: Bounds | None = None,
        honest_cold: bool = False,
        debug: Mapping[str, int] = MappingProxyType({}),
        runtime: Runtime | type[Sandbox] = "sandbox",
        walls: bool = True,
        visible: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
        role: Mapping[str, str] = MappingProxyType({}),
        report: Callable[[str], None] = print,
        on_invocation: Callable[[Invocation], None] | None = None,
        on_spans: OnSpans | None = None,
    ) -> None:
        self.template = template
        self.limits = LIMITS[limits]
        self._log_folder = logs
        self._logs = {name: FunctionLog(logs / f"{name}.log") for name in template.functions}
        self._fresh = SpawnLauncher()
        self._debuggable = SpawnLauncher("-X", "frozen_modules=off")
        self._kind = runtime if isinstance(runtime, type) else _kind_of(runtime)
        spawns = honest_cold or sys.platform != "linux" or self._kind is not Sandbox
        self._launcher: Launcher = self._fresh if spawns else _forks(template, logs, report, on_spans)
        self._debug = {name: (How(debug_port=port), asyncio.Lock()) for name, port in debug.items()}
        self._report = report
        self._around = Surroundings(
            project=template.path.parent,
            response_limit=self.limits.response,
            report=report,
            walls=walls,
            visible=visible,
            hidden=hidden,
            role=role,
            on_spans=None if honest_cold else on_spans,  # it measures the truth
        )
        self._preparing: set[asyncio.Task[None]] = set()
        self._ready_after: dict[str, float] = {}
        self._alone: set[Lease] = set()
        self._bounds = bounds or Bounds()
        self._pool: Pool
        self._renewal: Renewal
        self._on_invocation = on_invocation
        self._running: set[asyncio.Task[Invocation]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._stopping = self._closed = False

    async def start(self) -> None:
        """Make ready to start sandboxes. Raises LaunchFailed."""
        self._pool = Pool(self._bounds)
        self._renewal = Renewal(self._pool, lambda: self.template, self._try, self._report, untried=self._debug)
        for spec in self.template.functions.values():
            if (size := spec.environment_bytes) > self.limits.environment:
                allowed = f"Lambda allows {self.limits.environment:,}; shorten them in the template"
                raise LaunchFailed(f"The variables of {spec.name} have {size:,} bytes, {allowed}")
        if self._around.walls and (reason := await asyncio.to_thread(available)):
            self._around = replace(self._around, walls=False)
            self._report(f"functions can write outside of /tmp here, as they cannot in Lambda: {reason}")
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
            for task in self._preparing:
                task.cancel()
            await asyncio.gather(*self._preparing, return_exceptions=True)
            await self._renewal.stop()
            await self._pool.close()
            await asyncio.gather(*(lease.sandbox.end() for lease in self._alone if lease.sandbox))
        await asyncio.gather(*self._running, return_exceptions=True)
        for launcher in (self._launcher, self._fresh, self._debuggable):
            await launcher.stop()
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
        how: How = _USUAL,
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
        task = asyncio.create_task(self._invoke(spec, body, request_id, trace or xray.new_header(), source, how))
        self._running.add(task)
        task.add_done_callback(self._finished)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if how.debug_port is not None:  # it may wait for a debugger for ever
                task.cancel()
            raise

    def recycle(self, name: str) -> None:
        """Later invocations import the function anew; those that run now finish as they are."""
        self._pool.recycle(self._spec(name).name)

    async def reload(self, changed: Collection[Path]) -> None:
        """Have those functions import anew that imported one of these files; an old version stays if that fails.

        Returns when it is settled. From the first call on, changes are taken to be reported here.
        """
        await self._renewal.changed(changed)

    async def replace(self, template: Template) -> None:
        """Run the functions of this template from now on; those that are as they were keep their sandboxes."""
        old, self.template = self.template.functions, template
        for name in old.keys() - template.functions.keys():
            self._pool.recycle(name)
        for name in template.functions.keys() - self._logs.keys():
            self._logs[name] = FunctionLog(self._log_folder / f"{name}.log")
        both = old.keys() & template.functions.keys()
        await self._renewal.renew([name for name in both if old[name].program != template.functions[name].program])

    @property
    def broken(self) -> Mapping[str, str]:
        """The functions that answer with an old version, and the error that keeps it."""
        return self._renewal.broken

    def sandboxes(self) -> dict[str, dict[str, int]]:
        """By function: how many sandboxes it has, how many of them are idle, how many invocations wait for one."""
        return self._pool.counts()

    def _spec(self, name: str) -> FunctionSpec:
        try:
            return self.template.functions[name]
        except KeyError:
            raise UnknownFunction(f"There is no function {name}. {there_are(self.template.functions, name)}") from None

    def _finished(self, task: "asyncio.Task[Invocation]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, also when the caller has gone

    async def _invoke(
        self, spec: FunctionSpec, event: bytes, request_id: str, trace: str, source: str, how: How
    ) -> Invocation:
        started = time.time()
        while True:
            with contextlib.suppress(_LeftToOlder):
                async with self._lease(spec, how) as lease:
                    done = await self._run(lease, event, request_id, trace, how)
                break
        done = replace(done, event=event, source=source, trace=trace, started=started)
        if self._on_invocation:
            self._on_invocation(done)
        return done

    @contextlib.asynccontextmanager
    async def _lease(self, spec: FunctionSpec, how: How) -> AsyncIterator[Lease]:
        """A place in the pool, or outside of it for a call that is to be alone."""
        if how.alone:
            lease = Lease(spec)
            self._alone.add(lease)
            try:
                yield lease
            finally:
                if lease.sandbox:
                    await lease.sandbox.end()
                self._alone.discard(lease)
            return
        async with self._debug[spec.name][1] if spec.name in self._debug else contextlib.nullcontext():
            lease = await self._pool.acquire(spec)
            try:
                yield lease
            finally:
                self._pool.release(lease)

    async def _run(self, lease: Lease, event: bytes, request_id: str, trace: str, how: How) -> Invocation:
        """One that no handler has seen yet is given to another sandbox; a handler that has it is never asked twice."""
        spec, log = lease.spec, self._logs[lease.spec.name]
        announced = False
        for _ in range(_ATTEMPTS):
            init_ms = None
            try:
                if lease.sandbox is None:
                    init_ms = await self._start(lease, request_id, how)
                assert lease.sandbox is not None
                if not announced:
                    log.write(start_line(request_id))
                    announced = True
                outcome = await lease.sandbox.invoke(request_id, event, trace=trace, client_context=how.client_context)
            except NotBegun:
                lease.sandbox = None
                continue
            except InitFailed as exc:
                if not how.alone and self._renewal.holds(lease, exc):
                    raise _LeftToOlder from exc
                if not announced:
                    log.write(start_line(request_id))
                outcome = exc.outcome
            imports = lease.sandbox.imports if lease.sandbox and init_ms is not None else {}
            return self._ended(spec, request_id, outcome, init_ms, imports)
        raise LaunchFailed(f"{_ATTEMPTS} sandboxes of {spec.name} died before they got the event")

    async def _start(self, lease: Lease, request_id: str, how: How) -> float:
        """A new sandbox for the lease; how long it took, in milliseconds."""
        started = time.perf_counter()
        lease.spec = self.template.functions.get(lease.spec.name, lease.spec)  # it may have changed while this waited
        if not how.alone:
            how = self._debug.get(lease.spec.name, (_USUAL, None))[0]
        launcher = self._debuggable if how.debug_port is not None else self._fresh if how.alone else self._launcher
        log = self._logs[lease.spec.name]
        kind = Sandbox if how.alone else self._kind
        lease.sandbox = await kind.launch(lease.spec, launcher, self._around, log=log, how=how)
        if self._closed:
            await lease.sandbox.end()
            raise Busy("the invoker is stopping")
        await lease.sandbox.initialise(request_id)
        return (time.perf_counter() - started) * 1000

    async def _try(self, lease: Lease) -> None:
        await self._start(lease, f"reload-{uuid.uuid4()}", _USUAL)

    def _ended(
        self,
        spec: FunctionSpec,
        request_id: str,
        outcome: Outcome,
        init_ms: float | None,
        imports: Mapping[str, float],
    ) -> Invocation:
        failed = outcome.status != "success"
        report = Report(
            request_id,
            outcome.duration_ms,
            spec.memory,
            math.ceil(outcome.max_memory_kb / 1024),
            init_ms,
            outcome.status,
            faults.error_type(outcome.payload) if failed else None,
            tuple(Import(*pair) for pair in sorted(imports.items(), key=lambda pair: -pair[1])),
            outcome.calls,
            outcome.cpu_ms,
        )
        ending = f"{end_line(request_id)}\n{report}"
        self._logs[spec.name].write(ending)
        log = f"{start_line(request_id)}\n{outcome.log}{ending}\n"
        error = "Unhandled" if failed else None
        return Invocation(request_id, spec.name, outcome.payload, error, log, report, began=outcome.began)

    async def _watch(self) -> None:
        """Enforce memory limits and end what has been idle for long."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            alone = [lease.sandbox for lease in self._alone if lease.sandbox]
            for sandbox in (*self._pool.at_work(), *alone):
                sandbox.check_memory()
            self._pool.expire()
            self._keep_ready()

    def _keep_ready(self) -> None:
        """Have as many sandboxes as are provisioned, and one for a debugger; what fails is tried again later."""
        now, counts = time.monotonic(), {name: each["sandboxes"] for name, each in self._pool.counts().items()}
        room = self._bounds.total - sum(counts.values())
        for name, spec in self.template.functions.items():
            most = self._bounds.per_function if spec.reserved_concurrency is None else spec.reserved_concurrency
            wanted = min(most, 1 if name in self._debug else spec.provisioned_concurrency)
            if 0 < wanted - counts.get(name, 0) <= room and now >= self._ready_after.get(name, 0.0):
                self._ready_after[name] = now + _READY_SECONDS
                task = asyncio.create_task(self._make_ready(spec, wanted))
                self._preparing.add(task)
                task.add_done_callback(self._preparing.discard)

    async def _make_ready(self, spec: FunctionSpec, count: int) -> None:
        """What goes wrong, the next invocation meets too and tells."""
        with contextlib.suppress(InitFailed, NotBegun, LaunchFailed, Refused):
            async with contextlib.AsyncExitStack() as leases:
                for _ in range(count):
                    lease = await leases.enter_async_context(self._lease(spec, _USUAL))
                    if lease.sandbox is None:
                        await self._start(lease, f"init-{uuid.uuid4()}", _USUAL)


def _forks(template: Template, logs: Path, report: Callable[[str], None], on_spans: OnSpans | None) -> ForkLauncher:
    sources = dict.fromkeys(path for spec in template.functions.values() for path in (spec.code, *spec.layers))
    log, tracing = logs / "zygote.log", on_spans is not None
    return ForkLauncher(template.requirements, list(sources), log=log, report=report, tracing=tracing)


def _kind_of(runtime: Runtime) -> type[Sandbox]:
    if runtime == "sandbox":
        return Sandbox
    from local.edge.runtime_api import RuntimeSandbox  # needs a server

    return RuntimeSandbox
