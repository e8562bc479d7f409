"""One server process: how it is started, recorded, recognised later and ended."""

import asyncio
import functools
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LOG_LIMIT = 10_000_000


class ServiceFailed(Exception):
    """A service cannot run: which one, why, what its log says last, and what to do about it."""

    def __init__(self, name: str, cause: str, *, advice: str = "", log: Path | None = None) -> None:
        self.name, self.cause, self.advice, self.log = name, cause, advice, log
        tail = last_lines(log) if log else ""
        lines = [
            f"{name}: {cause}",
            *([f"last lines of {log}:\n{tail}"] if tail else []),
            *([advice] if advice else []),
        ]
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Program:
    """What to run, when it counts as ready, and how it is asked to stop. `env` is the whole environment."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    ready: Callable[[], Awaitable[bool]]
    ready_timeout: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 4.0
    prefix: tuple[str, ...] = ()
    """What drops rights in front of the command; the command replaces it in the same process."""


async def spawn(program: Program) -> asyncio.subprocess.Process:
    """Start a program in a session of its own; the kernel tells it to stop should this process vanish."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    if program.log.exists() and program.log.stat().st_size > LOG_LIMIT:
        program.log.replace(program.log.with_suffix(".log.1"))
    with program.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.prefix,
            *dies_with_parent(program.stop_signal),
            *program.command,
            env=dict(program.env),
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def run(*command: str, cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """A command to its end: exit code and all it said. It ends with us, also when this wait is cancelled."""
    running = await asyncio.create_subprocess_exec(
        *command,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await running.communicate()
    except asyncio.CancelledError:
        os.killpg(running.pid, signal.SIGKILL)
        await running.wait()
        raise
    return await running.wait(), output.decode(errors="replace").strip()


def dies_with_parent(stop_signal: signal.Signals) -> tuple[str, ...]:
    """Goes between the prefix and the command, because a change of rights clears the request."""
    if setpriv := shutil.which("setpriv"):
        return (setpriv, f"--pdeathsig={stop_signal.name.removeprefix('SIG')}", "--")
    return ()


@functools.cache
def without_root() -> tuple[str, ...]:
    """A prefix for programs that refuse to run as root; empty for everybody else."""
    if os.geteuid() != 0:
        return ()
    nobody = pwd.getpwnam("nobody")
    mapped = ("unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--")
    if shutil.which("unshare") and subprocess.run([*mapped, "true"], capture_output=True, check=False).returncode == 0:
        return mapped
    return ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--")


def give_to_nobody(path: Path, prefix: Sequence[str]) -> None:
    """Where rights are dropped by changing the user, that user must own what the program writes."""
    if prefix[:1] == ("setpriv",):
        nobody = pwd.getpwnam("nobody")
        for entry in (path, *path.rglob("*")):
            os.chown(entry, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)


def last_lines(log: Path, count: int = 15) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""


def record(folder: Path, name: str, pid: int) -> None:
    """Note which process runs under this name, well enough to recognise it after a crash of ours."""
    if (start := _start_of(pid)) is not None:
        (folder / f"{name}.pid").write_text(json.dumps({"pid": pid, "start": start}))


def forget(folder: Path, name: str) -> None:
    (folder / f"{name}.pid").unlink(missing_ok=True)


def recorded(folder: Path, name: str) -> psutil.Process | None:
    """The recorded process if it still runs; never a later one that got its number."""
    try:
        known = json.loads((folder / f"{name}.pid").read_text())
        pid, start = int(known["pid"]), str(known["start"])
        process = psutil.Process(pid)
        return process if _start_of(pid) == start and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


def _start_of(pid: int) -> str | None:
    """When a process started, as the kernel counts since boot: unlike clock time it never shifts."""
    try:
        if sys.platform != "linux":
            return str(psutil.Process(pid).create_time())
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{ticks}"
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return None
