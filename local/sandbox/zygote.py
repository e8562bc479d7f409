"""The process that imports the third-party packages once and forks a sandbox from itself whenever it is told to.

It has one thread and opens no connection. `python -m local.sandbox.zygote CONTROL` talks on a Unix socket of whole
messages: `preload` first, then `fork` (with the sandbox's channel and output as descriptors) and `kill`. It answers
`ready`, `forked`, `failed` and `exited`. When the other end goes away, it ends all sandboxes and itself.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from local.sandbox.bootstrap import own_modules, serve
from local.sandbox.orphan import adopt_orphans, end_with_parent, kill_group
from local.sandbox.preload import preload

MESSAGE_SIZE = 128 * 1024


class Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._sandboxes: dict[int, int] = {}  # pid → id
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write)

    def run(self) -> None:
        """Serve until the other end is gone. Never returns."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll()}
                if self._wake_read in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                    self._reap()
                if self._control.fileno() in ready:
                    self._answer()
        except (EOFError, ConnectionError):
            self._end()

    def _answer(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_SIZE, 2)
        if not data:
            raise EOFError
        message = json.loads(data)
        match message["do"]:
            case "preload":
                if message["tracing"]:
                    importlib.import_module("local.sandbox.spans")
                failures = preload(map(Path, message["requirements"]), map(Path, message["sources"]))
                threads = len(list(Path("/proc/self/task").iterdir()))
                own_modules()
                gc.collect()
                gc.freeze()
                self._send({"ready": True, "failures": failures, "threads": threads})
            case "fork":
                self._fork(message["id"], *descriptors)
            case "kill":
                self._kill(message["pid"])

    def _fork(self, sandbox: int, channel: int, output: int) -> None:
        try:
            parent = os.getpid()
            pid = os.fork()
        except OSError as exc:
            self._send({"failed": sandbox, "error": str(exc)})
        else:
            if pid == 0:
                self._become_sandbox(parent, channel, output)
            self._sandboxes[pid] = sandbox
            self._send({"forked": sandbox, "pid": pid})
        finally:
            os.close(channel)
            os.close(output)

    def _become_sandbox(self, parent: int, channel: int, output: int) -> None:
        """In the child. Never returns."""
        try:
            gc.enable()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            end_with_parent(parent)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for descriptor in (output, self._wake_read, self._wake_write, self._control.detach()):
                os.close(descriptor)
            serve(channel)
        finally:
            os._exit(1)

    def _kill(self, pid: int) -> None:
        if pid in self._sandboxes:  # not yet waited for, so the number is still its own
            kill_group(pid)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid in self._sandboxes:
                    kill_group(ended.si_pid)  # what it started ends with it
                pid, status = os.waitpid(ended.si_pid, 0)
                sandbox = self._sandboxes.pop(pid, None)
                if sandbox is not None:
                    self._send({"exited": sandbox, "code": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(message).encode())

    def _end(self) -> None:
        for pid in self._sandboxes:
            kill_group(pid)
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        with contextlib.suppress(OSError):
            while pids := children.read_text().split():
                for pid in map(int, pids):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        os._exit(0)


def main() -> None:
    adopt_orphans()
    gc.disable()
    Zygote(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
