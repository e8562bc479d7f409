"""Runs programs: waits until each is ready, restarts what dies, ends everything it started."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

import psutil
from filelock import FileLock, Timeout

from local.services import records
from local.services.process import Program, ServiceFailed, spawn

POLL = 0.05
FIRST_BACKOFF, LONGEST_BACKOFF, STEADY_AFTER = 0.1, 30.0, 10.0
STALE_PATIENCE = 5.0
ADVICE = "next: `facet doctor` checks what this machine lacks"

Phase = Literal["starting", "running", "restarting", "stopped"]


@dataclass(frozen=True)
class Status:
    name: str
    pid: int | None
    state: Phase
    restarts: int


@dataclass
class Child:
    program: Program
    asked_at: float
    ready_at: float | None = None
    state: Phase = "starting"
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    watch: asyncio.Task[None] | None = field(default=None, repr=False)

    def builds_on(self, other: "Child") -> bool:
        """Whether it was started when the other was ready: then it may need it, also to stop."""
        return self is not other and other.ready_at is not None and self.asked_at >= other.ready_at


class Supervisor:
    """Use one per run, from the event loop of the main thread: a child's life is tied to the thread that started it.

    The folder `run` belongs to one supervisor at a time; what a killed one left running is ended first.
    """

    def __init__(self, report: Callable[[str], None], *, run: Path) -> None:
        self._report, self._run = report, run
        self._children: dict[str, Child] = {}
        self._lock = FileLock(run / "supervisor.lock", thread_local=False)
        self._taking_over: asyncio.Task[None] | None = None
        self._stopping = False

    async def take_over(self) -> None:
        """Have `run` for this supervisor alone, and end what a killed one left behind; raises ServiceFailed."""
        self._taking_over = self._taking_over or asyncio.create_task(self._take_over())
        await asyncio.shield(self._taking_over)

    async def start(self, program: Program) -> None:
        """Start a program and return when it is ready; raises ServiceFailed, and then nothing of it is left."""
        await self.take_over()
        child = self._children[program.name] = Child(program, asked_at=monotonic())
        try:
            await self._launch(child)
        except BaseException:
            await self._end(child)
            self._children.pop(program.name, None)
            raise
        child.watch = asyncio.create_task(self._keep_running(child), name=f"watch {program.name}")

    async def stop(self) -> None:
        """End everything, whatever fails: what was started on top of a running program before it, the rest at once."""
        self._stopping = True
        ends: dict[str, asyncio.Task[None]] = {}
        for child in sorted(self._children.values(), key=lambda child: child.asked_at, reverse=True):
            users = [ends[name] for name, other in self._children.items() if other.builds_on(child)]
            ends[child.program.name] = asyncio.create_task(self._end(child, after=users))
        try:
            outcomes = await asyncio.gather(*ends.values(), return_exceptions=True)
            self._children.clear()
            for name, outcome in zip(ends, outcomes, strict=True):
                if outcome:
                    self._tell(f"{name}: stopping it met {_what(outcome)}")
        finally:
            self._lock.release()

    def status(self) -> list[Status]:
        return [
            Status(name, child.process.pid if child.process else None, child.state, child.restarts)
            for name, child in self._children.items()
        ]

    async def _take_over(self) -> None:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise ServiceFailed(
                "services",
                f"another process already runs them in {self._run.parent}",
                advice="next: stop it with `facet down`, or set FACET_STATE to another folder",
            ) from None
        if ended := await records.end_all(self._run, STALE_PATIENCE):
            self._tell(f"ended what an earlier run left behind: {', '.join(ended)}")

    async def _launch(self, child: Child) -> None:
        program = child.program
        try:
            child.process = await spawn(program)
            records.note(self._run, program.name, child.process.pid, program.stop_signal)
            await self._wait_ready(program, child.process)
        except OSError as problem:
            what = f" {problem.filename}" if problem.filename else ""
            raise ServiceFailed(program.name, f"cannot run{what}: {problem.strerror or _what(problem)}") from problem
        child.ready_at, child.state = child.ready_at or monotonic(), "running"

    async def _wait_ready(self, program: Program, running: asyncio.subprocess.Process) -> None:
        ended = asyncio.create_task(running.wait())
        deadline = monotonic() + program.ready_timeout
        try:
            while not await program.ready():
                if self._stopping:
                    raise ServiceFailed(program.name, "stopped before it was ready")
                if ended.done():
                    raise ServiceFailed(
                        program.name, f"ended at its start, {_how(ended.result())}", log=program.log, advice=ADVICE
                    )
                if monotonic() > deadline:
                    raise ServiceFailed(
                        program.name, f"not ready after {program.ready_timeout:g} s", log=program.log, advice=ADVICE
                    )
                await asyncio.wait({ended}, timeout=POLL)
        finally:
            ended.cancel()

    async def _keep_running(self, child: Child) -> None:
        backoff, name = FIRST_BACKOFF, child.program.name
        while child.process:
            since = monotonic()
            code = await child.process.wait()
            if monotonic() - since > STEADY_AFTER:
                backoff = FIRST_BACKOFF
            child.state = "restarting"
            self._tell(f"{name} died, {_how(code)}; it is started again in {backoff:g} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            child.restarts += 1
            try:
                await self._launch(child)
            except Exception as failure:  # whatever it was, the next attempt may succeed
                await self._terminate(child)
                self._tell(str(failure) if isinstance(failure, ServiceFailed) else f"{name}: {_what(failure)}")
            else:
                self._tell(f"{name} runs again")

    async def _end(self, child: Child, after: Sequence[asyncio.Task[None]] = ()) -> None:
        await asyncio.gather(*after, return_exceptions=True)
        if child.watch:
            child.watch.cancel()
            await asyncio.gather(child.watch, return_exceptions=True)
        await self._terminate(child)
        child.state = "stopped"
        with contextlib.suppress(OSError):  # a note that stays is known to be old by its time
            records.forget(self._run, child.program.name)

    async def _terminate(self, child: Child) -> None:
        running = child.process
        if running is None or running.returncode is not None:
            return
        try:
            await self._terminate_family(running, child.program)
        except (OSError, psutil.Error) as problem:
            with contextlib.suppress(ProcessLookupError):
                running.kill()
            await running.wait()
            self._tell(f"{child.program.name} was killed: stopping it met {_what(problem)}")

    async def _terminate_family(self, running: asyncio.subprocess.Process, program: Program) -> None:
        family = records.descendants(running.pid)
        running.send_signal(program.stop_signal)
        try:
            await asyncio.wait_for(running.wait(), program.stop_timeout)
        except TimeoutError:
            running.kill()
            await running.wait()
            self._tell(f"{program.name} did not stop within {program.stop_timeout:g} s and was killed")
        await records.gone(family, patience=1.0)

    def _tell(self, text: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads it
            self._report(text)


def _how(code: int) -> str:
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _what(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}"
