"""The launcher that forks sandboxes from a zygote, and starts a new zygote when one dies."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.sandbox.launcher import Exit, LaunchFailed, Process, clean_environment, interpreter
from local.sandbox.orphan import kill_group
from local.sandbox.zygote import MESSAGE_SIZE

_READY_SECONDS = 60.0
_FORK_SECONDS = 10.0
_ATTEMPTS = 3

Report = Callable[[str], None]


class ZygoteDied(Exception):
    """The zygote ended before it could fork."""


class ForkLauncher:
    def __init__(
        self, requirements: Sequence[Path], sources: Sequence[Path], *, log: Path, report: Report, tracing: bool = False
    ) -> None:
        named = {"requirements": list(map(str, requirements)), "sources": list(map(str, sources))}
        self._preload = {**named, "tracing": tracing}
        self._log, self._report = log, report
        self._starting = asyncio.Lock()
        self._zygote: _Zygote | None = None
        self._restart: asyncio.Task[_Zygote] | None = None
        self._stopping = False

    async def start(self) -> None:
        await self._current()

    async def launch(self, channel: socket.socket, output: int) -> Process:
        for _ in range(_ATTEMPTS):
            zygote = await self._current()
            try:
                return await zygote.fork(channel, output)
            except ZygoteDied:
                continue
        raise LaunchFailed(f"the zygote died {_ATTEMPTS} times in a row; its output is in {self._log}")

    async def stop(self) -> None:
        self._stopping = True
        if self._restart:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        if self._zygote:
            await self._zygote.stop()

    async def _current(self) -> "_Zygote":
        async with self._starting:
            if self._stopping:
                raise LaunchFailed("the invoker is stopping")
            if self._zygote is None or self._zygote.dead:
                try:
                    self._zygote = _Zygote(self._log, self._died)
                except OSError as exc:
                    raise LaunchFailed(f"no process can be started: {exc}") from exc
                ready = await self._zygote.preload(self._preload)
                for package, failure in ready["failures"].items():
                    self._report(f"{package} cannot be imported ahead: {failure}")
                if ready["threads"] > 1:
                    self._report("a package starts a thread when it is imported; forked sandboxes may hang")
            return self._zygote

    def _died(self, zygote: "_Zygote", code: int | None) -> None:
        """Restart at once, so that the next cold start need not wait; not if it never got ready (no endless loop)."""
        if self._stopping or not zygote.was_ready:
            return
        self._report(f"the zygote died (exit code {code}) and its sandboxes with it; starting another")
        self._restart = asyncio.get_running_loop().create_task(self._current())
        self._restart.add_done_callback(self._restarted)

    def _restarted(self, task: "asyncio.Task[_Zygote]") -> None:
        if not task.cancelled() and (failure := task.exception()):
            self._report(str(failure))


class _Zygote:
    """One zygote process and the sandboxes forked from it."""

    def __init__(self, log: Path, on_death: Callable[["_Zygote", int | None], None]) -> None:
        self._log, self._on_death = log, on_death
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        self._forks: dict[int, asyncio.Future[Process]] = {}
        self._processes: dict[int, Process] = {}
        self._next = 0
        self.dead = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, log.open("wb") as output:
            self._child = subprocess.Popen(
                [*interpreter("local.sandbox.zygote"), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=clean_environment(),
                start_new_session=True,
            )
        self._control.setblocking(False)
        self._loop.add_reader(self._control.fileno(), self._on_readable)

    @property
    def was_ready(self) -> bool:
        return self._ready.done() and not self._ready.cancelled() and self._ready.exception() is None

    async def preload(self, what: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            self._send({"do": "preload", **what})
            async with asyncio.timeout(_READY_SECONDS):
                return await asyncio.shield(self._ready)
        except (ZygoteDied, TimeoutError) as exc:
            self._die()
            tail = self._log.read_text(errors="replace")[-2000:].strip()
            raise LaunchFailed(f"the process that functions are forked from did not start: {tail or exc!r}") from exc

    async def fork(self, channel: socket.socket, output: int) -> Process:
        self._next += 1
        forked: asyncio.Future[Process] = self._loop.create_future()
        self._forks[self._next] = forked
        self._send({"do": "fork", "id": self._next}, [channel.fileno(), output])
        try:
            async with asyncio.timeout(_FORK_SECONDS):
                return await forked
        except TimeoutError:
            self._die()
            raise ZygoteDied from None

    async def stop(self) -> None:
        """Close the control socket, upon which it ends its sandboxes and itself."""
        if self.dead:
            return
        self._abandon()
        try:
            await asyncio.to_thread(self._child.wait, 5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._fail_all()

    def _send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        if self.dead:
            raise ZygoteDied
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], list(descriptors))
        except OSError as exc:
            self._die()
            raise ZygoteDied from exc

    def _on_readable(self) -> None:
        while not self.dead:
            try:
                data = self._control.recv(MESSAGE_SIZE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                return self._die()
            self._on_message(json.loads(data))

    def _on_message(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"ready": _}:
                if not self._ready.done():
                    self._ready.set_result(message)
            case {"forked": fork, "pid": pid}:
                process = self._processes[fork] = Process(pid, lambda: self._kill(pid))
                if (waiting := self._forks.pop(fork)).done():  # nobody waits any more
                    self._kill(pid)
                else:
                    waiting.set_result(process)
            case {"failed": fork, "error": error}:
                if not (waiting := self._forks.pop(fork)).done():
                    waiting.set_exception(LaunchFailed(f"no process could be forked: {error}"))
            case {"exited": fork, "code": code}:
                self._processes.pop(fork).exited.set_result(Exit(code))

    def _kill(self, pid: int) -> None:
        """By the zygote, which knows whether the number still is the sandbox's."""
        try:
            self._send({"do": "kill", "pid": pid})
        except ZygoteDied:
            kill_group(pid)

    def _die(self) -> None:
        if self.dead:
            return
        self._abandon()
        self._child.kill()
        code = self._child.wait()
        for process in self._processes.values():
            kill_group(process.pid)  # its own children; itself the kernel has killed with the zygote
        self._on_death(self, code)
        self._fail_all()

    def _abandon(self) -> None:
        self.dead = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()

    def _fail_all(self) -> None:
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._forks.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(ZygoteDied())
                future.exception()  # seen, also where nobody waits
        for process in self._processes.values():
            process.exited.set_result(Exit(None))
        self._forks.clear()
        self._processes.clear()
