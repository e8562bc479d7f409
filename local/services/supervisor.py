"""Runs programs: waits until each is ready, restarts what dies, ends everything it started."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

import psutil

from local.services import process
from local.services.process import Program, ServiceFailed

POLL = 0.05
FIRST_BACKOFF, LONGEST_BACKOFF, STEADY_AFTER = 0.5, 30.0, 60.0

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


class Supervisor:
    """Use it from the event loop of the main thread: the kernel ties a child's life to the thread that started it."""

    def __init__(self, report: Callable[[str], None], *, run: Path) -> None:
        self._report, self._run = report, run
        self._children: dict[str, Child] = {}

    async def start(self, program: Program) -> None:
        """Start a program and return when it is ready; raises ServiceFailed, and then nothing of it is left."""
        await self._end_stale(program.name)
        child = self._children[program.name] = Child(program, asked_at=monotonic())
        try:
            await self._launch(child)
        except BaseException:
            await self._end(child)
            del self._children[program.name]
            raise
        child.watch = asyncio.create_task(self._keep_running(child), name=f"watch {program.name}")

    async def stop(self) -> None:
        """End everything: what was started on top of a running program goes before it, the rest at once."""
        ends: dict[str, asyncio.Task[None]] = {}
        for child in sorted(self._children.values(), key=lambda child: child.asked_at, reverse=True):
            users = [ends[other.program.name] for other in self._children.values() if _builds_on(other, child)]
            ends[child.program.name] = asyncio.create_task(self._end(child, after=users))
        await asyncio.gather(*ends.values())
        self._children.clear()

    def status(self) -> list[Status]:
        return [
            Status(name, child.process.pid if child.process else None, child.state, child.restarts)
            for name, child in self._children.items()
        ]

    async def _launch(self, child: Child) -> None:
        program = child.program
        try:
            child.process = await process.spawn(program)
        except OSError as problem:
            raise ServiceFailed(program.name, f"cannot run {program.command[0]}: {problem.strerror}") from problem
        process.record(self._run, program.name, child.process.pid)
        await self._wait_ready(program, child.process)
        child.ready_at, child.state = monotonic(), "running"

    async def _wait_ready(self, program: Program, running: asyncio.subprocess.Process) -> None:
        ended = asyncio.create_task(running.wait())
        deadline = monotonic() + program.ready_timeout
        try:
            while not await program.ready():
                if monotonic() > deadline:
                    raise ServiceFailed(
                        program.name, f"not ready after {program.ready_timeout:.0f} s", log=program.log, advice=ADVICE
                    )
                await asyncio.wait({ended}, timeout=POLL)
                if ended.done():
                    raise ServiceFailed(
                        program.name, f"ended at its start, {_how(ended.result())}", log=program.log, advice=ADVICE
                    )
        finally:
            ended.cancel()

    async def _keep_running(self, child: Child) -> None:
        backoff = FIRST_BACKOFF
        while child.process:
            code = await child.process.wait()
            if child.ready_at and monotonic() - child.ready_at > STEADY_AFTER:
                backoff = FIRST_BACKOFF
            child.state = "restarting"
            self._report(f"{child.program.name} died, {_how(code)}; it is started again in {backoff:.1f} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            child.restarts += 1
            try:
                await self._launch(child)
                self._report(f"{child.program.name} runs again")
            except ServiceFailed as failure:
                self._report(str(failure))
                await self._terminate(child)

    async def _end(self, child: Child, after: list[asyncio.Task[None]] | None = None) -> None:
        await asyncio.gather(*(after or []))
        if child.watch:
            child.watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await child.watch
        await self._terminate(child)
        child.state = "stopped"
        process.forget(self._run, child.program.name)

    async def _terminate(self, child: Child) -> None:
        running, program = child.process, child.program
        if running is None or running.returncode is not None:
            return
        family = _family(running.pid)
        running.send_signal(program.stop_signal)
        try:
            await asyncio.wait_for(running.wait(), program.stop_timeout)
        except TimeoutError:
            self._report(f"{program.name} did not stop within {program.stop_timeout:.0f} s and was killed")
            running.kill()
            await running.wait()
        await _gone(family, program.stop_timeout)

    async def _end_stale(self, name: str) -> None:
        """End what a killed run of ours left behind under this name."""
        if old := process.recorded(self._run, name):
            self._report(f"ending {name} (process {old.pid}) of an earlier run")
            family = [old, *_family(old.pid)]
            with contextlib.suppress(psutil.NoSuchProcess):
                old.send_signal(signal.SIGTERM)
            await _gone(family, patience=5.0)
        process.forget(self._run, name)


ADVICE = "next: read the log above, then try `facet doctor`"


def _builds_on(later: Child, earlier: Child) -> bool:
    return earlier.ready_at is not None and later.asked_at >= earlier.ready_at and later is not earlier


def _how(code: int) -> str:
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


async def _gone(processes: list[psutil.Process], patience: float) -> None:
    """Wait until these are gone; kill what is not."""
    deadline = monotonic() + patience
    while alive := [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]:
        if monotonic() > deadline:
            for each in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        await asyncio.sleep(POLL)
