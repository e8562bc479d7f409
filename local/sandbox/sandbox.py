"""One sandbox as the invoker sees it: a process that has imported one function and takes one event at a time."""

import asyncio
import os
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from local.logs import FunctionLog
from local.sandbox import faults, memory
from local.sandbox.channel import Channel, ChannelClosed, Output
from local.sandbox.frames import EVENT, FAILED, INIT, RESULT
from local.sandbox.launcher import Exit, Launcher, Process, kill_group
from local.template.spec import FunctionSpec

ARN = "arn:aws:lambda:us-east-1:000000000000:function:{}"
_INIT_SECONDS = 10.0
_END_SECONDS = 3.0
_LINGER_SECONDS = 0.2
_TAIL = 256 * 1024
_FRAME_MARGIN = 1_000_000  # an error object may be bigger than a result


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


class InitFailed(Exception):
    """The function could not be imported; `outcome` is what its invoker gets."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.status)


class Sandbox:
    def __init__(self, spec: FunctionSpec, process: Process, channel: Channel, output: int, log: FunctionLog) -> None:
        self.spec = spec
        self.process = process
        self.idle_since = 0.0
        self.out_of_memory = False
        self._channel, self._log, self._tail = channel, log, ""
        self._output = Output(output, self._printed)
        self._ending: asyncio.Task[Exit] | None = None
        # Something the handler left behind may hold the channel open: the process's end is what counts.
        process.exited.add_done_callback(
            lambda _: asyncio.get_running_loop().call_later(_LINGER_SECONDS, channel.close)
        )

    @classmethod
    async def launch(cls, spec: FunctionSpec, launcher: Launcher, *, body_limit: int, log: FunctionLog) -> "Sandbox":
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
            channel = await Channel.open(ours, body_limit + _FRAME_MARGIN)
        except BaseException:
            process.kill()
            ours.close()
            os.close(read)
            raise
        return cls(spec, process, channel, read, log)

    @property
    def alive(self) -> bool:
        return self._ending is None and not self.process.exited.done() and not self._channel.closed.done()

    async def initialise(self, request_id: str, *, response_limit: int) -> None:
        """Import the handler. Raises InitFailed, or NotBegun when the sandbox was killed by nothing of its own."""
        init = {
            "handler": self.spec.handler,
            "module": self.spec.module,
            "code": str(self.spec.code),
            "layers": [str(layer) for layer in self.spec.layers],
            "environment": lambda_environment(self.spec),
            "arn": ARN.format(self.spec.name),
            "response_limit": response_limit,
        }
        limit = max(_INIT_SECONDS, self.spec.timeout)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(limit):
                self._channel.send(INIT, init)
                frame = await self._channel.receive()
        except TimeoutError:
            raise InitFailed(await self._timed_out(request_id, limit, started)) from None
        except ChannelClosed:
            ended = await self.end()
            if ended.code is None:
                raise NotBegun from None
            raise InitFailed(self._crashed(request_id, ended, started)) from None
        self._output.drain()
        if frame.kind == FAILED:
            ended = await self.end()
            raise InitFailed(self._outcome(frame.body, "error", started, ended.max_memory_kb))

    async def invoke(self, request_id: str, event: bytes, *, trace: str) -> Outcome:
        """What the handler makes of the event. Raises NotBegun when it never got it."""
        deadline_ms = int((time.time() + self.spec.timeout) * 1000)
        header = {"request_id": request_id, "deadline_ms": deadline_ms, "trace": trace}
        started, begun = time.perf_counter(), False
        self._tail = ""
        try:
            async with asyncio.timeout(self.spec.timeout):
                self._channel.send(EVENT, header, event)
                await self._channel.receive()
                begun = True
                frame = await self._channel.receive()
        except TimeoutError:
            return await self._timed_out(request_id, self.spec.timeout, started)
        except ChannelClosed:
            ended = await self.end()
            if not begun:
                raise NotBegun from None
            return self._crashed(request_id, ended, started)
        self._output.drain()
        status = "success" if frame.kind == RESULT else "error"
        return self._outcome(frame.body, status, started, frame.header.get("max_memory_kb", 0))

    async def end(self) -> Exit:
        """Kill it and wait until it is gone. Harmless when it is."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return await asyncio.shield(self._ending)

    async def _end(self) -> Exit:
        self.process.kill()
        try:
            async with asyncio.timeout(_END_SECONDS):
                ended = await asyncio.shield(self.process.exited)
        except TimeoutError:  # the zygote is stuck
            kill_group(self.process.pid)
            ended = Exit(-9)
        self._channel.close()
        self._output.close()
        return ended

    async def _timed_out(self, request_id: str, limit: float, started: float) -> Outcome:
        peak = memory.peak_kb(self.process.pid)
        await self.end()
        self._printed(f"{request_id} Task timed out after {limit:.2f} seconds")
        return self._outcome(faults.timed_out(request_id, limit), "timeout", started, peak)

    def _crashed(self, request_id: str, ended: Exit, started: float) -> Outcome:
        peak = ended.max_memory_kb
        if self.out_of_memory:
            peak = max(peak, self.spec.memory * 1024)
            self._printed(f"{request_id} The memory limit of {self.spec.memory} MB was exceeded")
        return self._outcome(faults.crashed(request_id, ended), "error", started, peak)

    def _outcome(self, payload: bytes, status: str, started: float, peak_kb: int) -> Outcome:
        return Outcome(payload, status, (time.perf_counter() - started) * 1000, peak_kb, self._tail)

    def _printed(self, text: str) -> None:
        self._log.write(text)
        self._tail = f"{self._tail}{text}\n"[-_TAIL:]


def lambda_environment(spec: FunctionSpec) -> dict[str, str]:
    """The variables a Lambda environment has, under those of the template."""
    stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
    return {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(spec.code),
        "LANG": "en_US.UTF-8",
        "PATH": os.defpath,
        "TZ": ":UTC",
        "_HANDLER": spec.handler,
        **spec.environment,
    }
