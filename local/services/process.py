"""One program: what it is, how it is started with fewer rights, and how its failure is told."""

import asyncio
import functools
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LOG_LIMIT = 10_000_000


class ServiceFailed(Exception):
    """A service cannot run: which one, why, what its log says last, and what to do about it."""

    def __init__(self, name: str, cause: str, *, advice: str = "", log: Path | None = None) -> None:
        self.name, self.cause, self.advice = name, cause, advice
        tail = last_lines(log) if log else ""
        parts = (f"{name}: {cause}", f"last lines of {log}:\n{tail}" if tail else "", advice)
        super().__init__("\n".join(part for part in parts if part))


@dataclass(frozen=True)
class Program:
    """What to run, when it counts as ready, and how it is asked to stop. `env` is its whole environment."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    log: Path
    ready: Callable[[], Awaitable[bool]]
    ready_timeout: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 4.0
    prefix: tuple[str, ...] = ()
    """What drops rights before it becomes the command, see `without_root`."""


async def spawn(program: Program) -> asyncio.subprocess.Process:
    """Start a program in a session of its own; the kernel tells it to stop should this thread vanish."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    put_aside(program.log)
    with program.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *program.prefix,
            *_dies_with_parent(program.stop_signal),
            *program.command,
            env=dict(program.env),
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def run(*command: str, cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """A command to its end: exit code and all it said. It is killed when this wait is cancelled."""
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


def _dies_with_parent(stop_signal: signal.Signals) -> tuple[str, ...]:
    """Stands after the prefix, because a change of rights clears what it sets."""
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
        return mapped  # root outside, so that all files stay root's
    return ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--")


def give_to_user_of(prefix: tuple[str, ...], path: Path, *, below: Path) -> None:
    """As root: let the user the prefix changes to own `path`, and pass through the folders from `below` to it."""
    if os.geteuid() != 0:
        return
    changes_user = prefix[:1] == ("setpriv",)
    user = pwd.getpwnam("nobody" if changes_user else "root")
    if path.stat().st_uid != user.pw_uid:
        for entry in (path, *path.rglob("*")):
            os.chown(entry, user.pw_uid, user.pw_gid, follow_symlinks=False)
    for folder in path.parents:
        if changes_user and folder.is_relative_to(below):
            folder.chmod(folder.stat().st_mode | 0o011)


def put_aside(log: Path) -> None:
    """Let a log that has grown long begin anew."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))


def last_lines(log: Path, count: int = 15) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return ""
