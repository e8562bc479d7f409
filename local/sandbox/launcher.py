"""Starts sandbox processes: forked from a zygote, or as fresh interpreters where fork is of no use."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from local.sandbox.orphan import kill_group

ROOT = Path(__file__).resolve().parents[2]


class LaunchFailed(Exception):
    """No sandbox could be started; the text names the cause."""


@dataclass(frozen=True)
class Exit:
    """How a sandbox ended. `code` is negative for a signal, None where nobody could see it (the zygote was killed)."""

    code: int | None


@dataclass
class Process:
    """A sandbox's process. `exited` is done when it has ended, whoever still holds its descriptors."""

    pid: int
    kill: Callable[[], None]
    exited: "asyncio.Future[Exit]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Launcher(Protocol):
    async def start(self) -> None:
        """Make ready; raises LaunchFailed."""

    async def launch(self, channel: socket.socket, output: int) -> Process:
        """A sandbox that talks on `channel` and prints to `output`. Raises LaunchFailed."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End everything that was started."""


class SpawnLauncher:
    """A fresh interpreter for every sandbox: the true cold start, and the only way without a safe fork."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._watching: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Nothing is kept ready."""

    async def launch(self, channel: socket.socket, output: int) -> Process:
        program = interpreter("local.sandbox.bootstrap", *self._options)
        command = [*program, str(channel.fileno()), str(os.getpid())]
        return await self.run(command, output, env=clean_environment(), pass_fds=[channel.fileno()])

    async def run(
        self,
        command: Sequence[str],
        output: int,
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        cwd: Path | None = None,
    ) -> Process:
        """A program in a session of its own, which ends with it. Raises LaunchFailed."""
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as exc:
            raise LaunchFailed(f"{command[0]} cannot be started: {exc}") from exc
        process = Process(child.pid, lambda: kill_group(child.pid))
        watching = asyncio.create_task(self._watch(child, process))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return process

    async def stop(self) -> None:
        """The sandboxes' users have ended them; wait until the last is gone."""
        await asyncio.gather(*self._watching)

    async def _watch(self, child: asyncio.subprocess.Process, process: Process) -> None:
        code = await child.wait()
        kill_group(child.pid)  # what it started ends with it
        process.exited.set_result(Exit(code))


def interpreter(module: str, *options: str) -> Sequence[str]:
    """The command that runs one of our own modules, without the current folder on its path."""
    return (sys.executable, "-P", *options, "-m", module)


def clean_environment() -> dict[str, str]:
    """What our own processes start with: nothing of the shell that a function could read or come to depend on."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    installed = ROOT.name in ("site-packages", "dist-packages")  # every interpreter looks there anyway
    return kept if installed else {**kept, "PYTHONPATH": str(ROOT)}
