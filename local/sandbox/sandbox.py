"""One sandbox as the invoker sees it: a process that has imported one function and takes one event at a time."""

import asyncio
import functools
import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from local.logs import FunctionLog
from local.sandbox import faults
from local.sandbox.channel import Channel, ChannelClosed, Output
from local.sandbox.frames import BEGUN, ERROR, EVENT, FAILED, INIT, LISTENING, READY, RESULT, Frame
from local.sandbox.how import How
from local.sandbox.launcher import Exit, Launcher, Process
from local.sandbox.orphan import end_in, kill_group, namespace_of
from local.sandbox.usage import Memory, cpu_ms_of
from local.sandbox.variables import lambda_environment
from local.template.spec import FunctionSpec

ARN = "arn:aws:lambda:us-east-1:000000000000:function:{}"
_INIT_SECONDS = 10.0
_LONG_SECONDS = 86_400.0
_END_SECONDS = 3.0
_LINGER_SECONDS = 0.2
_TAIL = 256 * 1024
_NONE: Mapping[str, tuple[int, float]] = MappingProxyType({})
_FRAME_MARGIN = 1_000_000  # an error object may be bigger than a result


OnSpans = Callable[[str, bytes], None]
"""Gets the name of a function and the spans of one invocation, a JSON array."""


class NotBegun(Exception):
    """The sandbox ended before its handler got the event, so another one may take it."""


@dataclass(frozen=True)
class Outcome:
    """What came of one event. `status` is success, error (the handler's or a crash) or timeout."""

    payload: bytes
    status: str
    duration_ms: float
    max_memory_kb: int
    log: str
    began: float = 0.0
    """When the handler got the event, by the sandbox's clock, in seconds since 1970."""
    cpu_ms: float | None = None
    """What it took of the processor; None when the sandbox ended before it could say."""
    calls: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """How many statements, messages and so on it took, and their milliseconds, where it was traced."""


class InitFailed(Exception):
    """The function could not be imported; `outcome` is what its invoker gets."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.status)


@dataclass(frozen=True)
class Surroundings:
    """What all sandboxes of an invoker have in common."""

    project: Path
    response_limit: int
    report: Callable[[str], None]
    walls: bool = True
    """Without them, a sandbox gets a folder for its temporary files."""
    visible: Sequence[Path] = ()
    """What can be seen below /tmp too, and be written to."""
    hidden: Sequence[Path] = ()
    """What cannot be read, unless it is a file of the function's own code."""
    on_spans: OnSpans | None = None
    role: Mapping[str, str] = field(default_factory=dict)
    """Variables by which AWS's clients in a function find and may use the local APIs."""


class Sandbox:
    def __init__(
        self,
        spec: FunctionSpec,
        process: Process,
        channel: Channel,
        output: int,
        log: FunctionLog,
        how: How,
        around: Surroundings,
    ) -> None:
        self.spec, self.process, self.how, self._around = spec, process, how, around
        # Where it is measured or replayed, nothing of ours shall be in the way.
        self._tracing = around.on_spans is not None and not how.fresh and how.frozen_at is None
        if around.on_spans is not None:
            channel.on_spans = functools.partial(around.on_spans, spec.name)
        self.idle_since = 0.0
        self.files: frozenset[Path] = frozenset()
        """The project's files that it has imported."""
        self.imports: Mapping[str, float] = {}
        """Milliseconds by top-level package, of the handler's import."""
        self._memory, self._peak_kb, self._out_of_memory = Memory(process.pid), 0, False
        self._channel, self._log, self._tail = channel, log, ""
        self._started = self._began = self._cpu_ms = 0.0
        self._folder = (
            None if around.walls else tempfile.TemporaryDirectory(prefix="facet-", ignore_cleanup_errors=True)
        )
        self._output = Output(output, self._printed)
        self._ending: asyncio.Task[Exit] | None = None
        self._namespace: int | None = None
        """Where all lives that it starts."""
        # Something the handler left behind may hold the channel open: the process's end is what counts.
        process.exited.add_done_callback(
            lambda _: asyncio.get_running_loop().call_later(_LINGER_SECONDS, channel.close)
        )

    @classmethod
    async def launch(
        cls, spec: FunctionSpec, launcher: Launcher, around: Surroundings, *, log: FunctionLog, how: How
    ) -> "Sandbox":
        """A process that has not imported anything of the function yet. Raises LaunchFailed."""
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        try:
            process = await launcher.launch(theirs, write)
        except BaseException:
            ours.close()
            os.close(read)
            raise
        finally:
            theirs.close()
            os.close(write)
        try:
            channel = await Channel.open(ours, around.response_limit + _FRAME_MARGIN)
        except BaseException:
            process.kill()
            ours.close()
            os.close(read)
            raise
        return cls(spec, process, channel, read, log, how, around)

    @property
    def alive(self) -> bool:
        return self._ending is None and not self.process.exited.done() and not self._channel.closed.done()

    @property
    def timeout(self) -> float | None:
        """Who debugs has time, and memory."""
        return self.spec.timeout if self.how.debug_port is None else None

    def check_memory(self) -> None:
        """Kill it if it has more than it may."""
        if self.alive and self.timeout and (used := self._memory.over(self.spec.memory * 1024)):
            self._out_of_memory, self._peak_kb = True, max(used, self._peak_kb)
            self.process.kill()

    async def initialise(self, request_id: str) -> None:
        """Import the handler. Raises InitFailed, or NotBegun when the sandbox was killed by nothing of its own."""
        limit = max(_INIT_SECONDS, self.timeout) if self.timeout else None
        self._started = time.perf_counter()
        try:
            async with asyncio.timeout(limit):
                self._channel.send(INIT, self._init())
                while (frame := await self._received(READY, FAILED, LISTENING)).kind == LISTENING:
                    self._around.report(f"{self.spec.name} waits for a debugger at 127.0.0.1:{self.how.debug_port}")
        except TimeoutError:
            raise InitFailed(await self._timed_out(request_id, limit or 0.0)) from None
        except ChannelClosed:
            ended = await self.end()
            if ended.code is None:
                raise NotBegun from None
            raise InitFailed(self._crashed(request_id, ended)) from None
        self._output.drain()
        self._learn(frame.header)
        self._namespace = namespace_of(self.process.pid)
        if frame.kind == FAILED:
            await self.end()
            raise InitFailed(self._outcome(frame.body, "error"))
        self.imports = frame.header["imports"]

    async def invoke(self, request_id: str, event: bytes, *, trace: str, client_context: str | None) -> Outcome:
        """What the handler makes of the event. Raises NotBegun when it never got it."""
        now = time.time() if self.how.frozen_at is None else self.how.frozen_at
        deadline_ms = int((now + (self.timeout or _LONG_SECONDS)) * 1000)
        header = {
            "request_id": request_id,
            "deadline_ms": deadline_ms,
            "trace": trace,
            "client_context": client_context,
        }
        if self._channel.unread:  # a handler has forged them: its sandbox answers nobody any more
            await self.end()
            raise NotBegun
        self._started, self._began, self._tail = time.perf_counter(), 0.0, ""
        try:
            async with asyncio.timeout(self.timeout):
                self._channel.send(EVENT, header, event)
                begun = (await self._received(BEGUN)).header
                self._began, self._cpu_ms = begun["began"], begun["cpu_ms"]
                frame = await self._received(RESULT, ERROR)
        except TimeoutError:
            return await self._timed_out(request_id, self.spec.timeout)
        except ChannelClosed:
            ended = await self.end()
            if not self._began:
                raise NotBegun from None
            return self._crashed(request_id, ended)
        self._output.drain()
        self._learn(frame.header)
        status = "success" if frame.kind == RESULT else "error"
        return self._outcome(frame.body, status, frame.header["cpu_ms"], frame.header["calls"])

    async def _received(self, *kinds: bytes) -> Frame:
        """The next frame; raises ChannelClosed, also for one that is out of place: a handler has forged it."""
        frame = await self._channel.receive()
        if frame.kind not in kinds:
            raise ChannelClosed
        return frame

    async def end(self) -> Exit:
        """Kill it and wait until it is gone. Harmless when it is."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return await asyncio.shield(self._ending)

    async def _end(self) -> Exit:
        if self._namespace is None and not self.process.exited.done():  # its handler is not imported yet
            self._namespace = namespace_of(self.process.pid)
        self.process.kill()
        try:
            async with asyncio.timeout(_END_SECONDS):
                ended = await asyncio.shield(self.process.exited)
        except TimeoutError:  # the zygote is stuck
            kill_group(self.process.pid)
            ended = Exit(-9)
        self._channel.close()
        self._output.close()
        if self._namespace is not None:
            await asyncio.to_thread(end_in, self._namespace)
            os.close(self._namespace)
        if self._folder:
            await asyncio.to_thread(self._folder.cleanup)
        return ended

    def _init(self) -> dict[str, Any]:
        return {
            "handler": self.spec.handler,
            "module": self.spec.module,
            "code": str(self.spec.code),
            "layers": [str(layer) for layer in self.spec.layers],
            "environment": lambda_environment(self.spec, self._around.role),
            "arn": ARN.format(self.spec.name),
            "response_limit": self._around.response_limit,
            "roots": list(map(str, (self._around.project, self.spec.code, *self.spec.layers))),
            "debug_port": self.how.debug_port,
            "frozen_at": self.how.frozen_at,
            "tracing": self._tracing,
            "tmp": {
                "megabytes": self.spec.ephemeral_storage,
                "visible": list(map(str, self._around.visible)),
                "hidden": [
                    str(path) for path in self._around.hidden if path.is_dir() or self.spec.code not in path.parents
                ],
                "folder": self._folder.name if self._folder else None,
            },
        }

    def _learn(self, header: Mapping[str, Any]) -> None:
        self._peak_kb = max(self._peak_kb, header["max_memory_kb"])
        if files := header["files"]:
            self.files |= {Path(file) for file in files}

    async def _timed_out(self, request_id: str, limit: float) -> Outcome:
        self._peak_kb = max(self._peak_kb, self._memory.peak_kb())
        cpu_ms = cpu_ms_of(self.process.pid)
        await self.end()
        self._printed(f"{request_id} Task timed out after {limit:.2f} seconds")
        return self._outcome(faults.timed_out(request_id, limit), "timeout", cpu_ms)

    def _crashed(self, request_id: str, ended: Exit) -> Outcome:
        if self._out_of_memory:
            self._printed(f"{request_id} The memory limit of {self.spec.memory} MB was exceeded")
        return self._outcome(faults.crashed(request_id, ended), "error")

    def _outcome(
        self, payload: bytes, status: str, cpu_ms: float | None = None, calls: Mapping[str, tuple[int, float]] = _NONE
    ) -> Outcome:
        """A peak above the limit that nobody saw in time, and so did not end it, is reported as the limit."""
        duration_ms = (time.perf_counter() - self._started) * 1000
        enforced = self.timeout is not None and not self._out_of_memory
        self._peak_kb = max(self._peak_kb, self._memory.with_children_kb)
        peak_kb = min(self._peak_kb, self.spec.memory * 1024) if enforced else self._peak_kb
        cpu_ms = None if cpu_ms is None else max(0.0, cpu_ms - self._cpu_ms)
        return Outcome(payload, status, duration_ms, peak_kb, self._tail, self._began, cpu_ms, calls)

    def _printed(self, text: str) -> None:
        self._log.write(text)
        self._tail = f"{self._tail}{text}\n"[-_TAIL:]
