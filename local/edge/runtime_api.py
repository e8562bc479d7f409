"""Runs functions under AWS's own runtime interface client, `awslambdaric`, by the API it asks for its events.

Such an environment has no zygote, no /tmp of its own, and no debugger: it shows what AWS's program makes of a handler.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cloud import listen
from local.events import HttpResponse
from local.gateway.incoming import BodyTooLarge, Disconnected, Incoming, Receive, Scope, Send
from local.gateway.replies import json_response, send_response
from local.logs import FunctionLog
from local.sandbox.bootstrap import too_large
from local.sandbox.channel import Channel, ChannelClosed
from local.sandbox.frames import BEGUN, ERROR, EVENT, FAILED, READY, RESULT, Frame
from local.sandbox.how import How
from local.sandbox.launcher import Exit, Launcher, LaunchFailed, Process, SpawnLauncher
from local.sandbox.sandbox import ARN, Sandbox, Surroundings
from local.sandbox.usage import Memory, cpu_ms_of
from local.sandbox.variables import lambda_environment
from local.template.spec import FunctionSpec

_PATH = "/2018-06-01/runtime/"
_LINGER_SECONDS = 5.0
_OF_BROWSERS = frozenset({"origin", "sec-fetch-site"})


class RuntimeApi(Channel):
    """One environment's API, which its invoker uses as the channel to a sandbox."""

    process: Process

    def __init__(self, spec: FunctionSpec, response_limit: int) -> None:
        super().__init__(response_limit)
        self._spec, self._response_limit = spec, response_limit
        self._arrived: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._events: asyncio.Queue[Frame] = asyncio.Queue()
        self._current = ""
        self._ready = False

    def send(self, kind: bytes, header: Mapping[str, Any], body: bytes = b"") -> None:
        if self.closed.done():
            raise ChannelClosed
        if kind == EVENT:
            self._events.put_nowait(Frame(kind, header, body))

    async def receive(self) -> Frame:
        frame = await self._arrived.get()
        if frame is None:
            raise ChannelClosed
        return frame

    def close(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
            self._arrived.put_nowait(None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive)
        if incoming.headers.keys() & _OF_BROWSERS:
            return await send_response(incoming, _refused(403, "Forbidden", "no page may take events"), send)
        with contextlib.suppress(Disconnected):
            match scope["method"], scope["path"].removeprefix(_PATH).split("/"):
                case "GET", ["invocation", "next"]:
                    answer = await self._event()
                case "POST", ["invocation", request_id, ("response" | "error") as kind] if request_id == self._current:
                    self._current = ""
                    answer = await self._ended(incoming, RESULT if kind == "response" else ERROR)
                case "POST", ["init", "error"]:
                    answer = await self._ended(incoming, FAILED)
                case _:
                    answer = _refused(400, "InvalidRequestID", f"{scope['path']} is not asked for")
            await send_response(incoming, answer, send)

    async def _event(self) -> HttpResponse:
        """The next event, when there is one."""
        if not self._ready:
            self._ready = True
            self._arrive(READY, imports={})
        waiting = asyncio.ensure_future(self._events.get())
        await asyncio.wait({waiting, self.closed}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            return _refused(410, "Closed", "this environment has ended")
        event = waiting.result()
        self._current = event.header["request_id"]
        headers = {
            "content-type": "application/json",
            "lambda-runtime-aws-request-id": self._current,
            "lambda-runtime-deadline-ms": str(event.header["deadline_ms"]),
            "lambda-runtime-invoked-function-arn": ARN.format(self._spec.name),
            "lambda-runtime-trace-id": event.header["trace"],
        }
        if event.header["client_context"]:
            headers["lambda-runtime-client-context"] = json.dumps(json.loads(event.header["client_context"]))
        self._arrive(BEGUN, began=time.time())
        return HttpResponse(200, tuple(headers.items()), (), event.body)

    async def _ended(self, incoming: Incoming, kind: bytes) -> HttpResponse:
        try:
            body = await incoming.body(self._response_limit if kind == RESULT else sys.maxsize)
        except BodyTooLarge:
            await incoming.drain(_LINGER_SECONDS)
            self._arrive(ERROR, json.dumps(too_large(self._response_limit)).encode())
            return _refused(413, "RequestEntityTooLarge", "too large")
        self._arrive(kind, body)
        return json_response(202, {"status": "OK"})

    def _arrive(self, kind: bytes, body: bytes = b"", **header: Any) -> None:
        """What a sandbox would have sent. Which files were imported cannot be seen: all may have been."""
        pid = self.process.pid
        folders = (self._spec.code, *self._spec.layers) if kind in (READY, FAILED) else ()
        files = [str(file) for folder in folders for file in folder.rglob("*.py")]
        learnt = {"max_memory_kb": Memory(pid).peak_kb(), "cpu_ms": cpu_ms_of(pid), "files": files, "calls": {}}
        self._arrived.put_nowait(Frame(kind, learnt | header, body))


@dataclass(frozen=True)
class Program:
    """How awslambdaric is started for a function: with what, with which variables, in which folder."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path


class RuntimeSandbox(Sandbox):
    _serving: contextlib.AsyncExitStack

    @classmethod
    def program(cls, spec: FunctionSpec, role: Mapping[str, str]) -> Program:
        """What to start. Raises LaunchFailed."""
        if importlib.util.find_spec("awslambdaric") is None:
            raise LaunchFailed("awslambdaric is not installed here; next: pip install awslambdaric")
        path = os.pathsep.join(map(str, (spec.code, *spec.layers)))
        environment = {**lambda_environment(spec, role), "PYTHONPATH": path}
        return Program((sys.executable, "-P", "-m", "awslambdaric", spec.handler), environment, spec.code)

    @classmethod
    async def launch(
        cls, spec: FunctionSpec, launcher: Launcher, around: Surroundings, *, log: FunctionLog, how: How
    ) -> "RuntimeSandbox":
        """Raises LaunchFailed."""
        assert isinstance(launcher, SpawnLauncher)
        program = cls.program(spec, around.role)
        async with contextlib.AsyncExitStack() as starting:
            api = RuntimeApi(spec, around.response_limit)
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # hence TCP_NODELAY
            listener.bind((listen.LOOPBACK, 0))
            await starting.enter_async_context(listen.serving(api, [listener]))
            address = {"AWS_LAMBDA_RUNTIME_API": f"{listen.LOOPBACK}:{listener.getsockname()[1]}"}
            read, write = os.pipe()
            try:
                api.process = await launcher.run(
                    (*_leash(), *program.command), write, env={**program.environment, **address}, cwd=program.folder
                )
            except BaseException:
                os.close(read)
                raise
            finally:
                os.close(write)
            started = cls(spec, api.process, api, read, log, how, around)
            started._serving = starting.pop_all()
        return started

    async def _end(self) -> Exit:
        ended = await super()._end()
        await self._serving.aclose()
        return ended


def _leash() -> tuple[str, ...]:
    """No environment outlives a killed `facet up`."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig=KILL", "--") if setpriv else ()


def _refused(status: int, kind: str, message: str) -> HttpResponse:
    return json_response(status, {"errorType": kind, "errorMessage": message})
