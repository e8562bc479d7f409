"""A `facet up` in the background: started, stopped, and its data erased, by commands that do not run it themselves."""

import asyncio
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from local.cloud.control import Client, NotRunning
from local.cloud.project import Project
from local.cloud.state import State
from local.services.process import ServiceFailed, last_lines, put_aside
from local.services.supervisor import Supervisor

START_SECONDS = 300.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
ERASED = ("data", "logs", "records", "ports.json")
Report = Callable[[str], None]


class StartFailed(Exception):
    """The stack in the background did not become ready; the text says what it printed last."""


class StopFailed(Exception):
    """The stack is still there; the text says what to do."""


def start(project: Project, arguments: list[str], report: Report) -> None:
    """Runs `facet up` in a session of its own and returns when it is ready. Raises StartFailed."""
    state = State.open(project.root)
    log = state.log("up")
    put_aside(log)
    seen = log.stat().st_size if log.exists() else 0
    command = [sys.executable, "-m", "local", "up", "--template", str(project.template), *arguments]
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    try:
        while not _is_ready(state, child.pid):
            seen = _echo(log, seen, report)
            if child.poll() is not None:
                seen = _echo(log, seen, report)
                ended = f"It ended with exit code {child.returncode}. All it printed is in {log}."
                raise StartFailed(_error(log, seen) or ended)
            if time.monotonic() > deadline:
                raise StartFailed(f"It was not ready after {START_SECONDS:.0f} s:\n{last_lines(log)}")
            time.sleep(POLL_SECONDS)
        _echo(log, seen, report)
    except BaseException:  # also Ctrl-C: nothing goes on starting behind its user's back
        child.terminate()
        child.wait()
        raise


def _is_ready(state: State, pid: int) -> bool:
    """Whether this process, and no other on the same state, is ready."""
    try:
        status = Client(state.run).call("status")
    except NotRunning:
        return False
    return bool(status["ready"]) and status["pid"] == pid


def _echo(log: Path, start: int, report: Report) -> int:
    """Reports the whole lines written since `start`, but not the error it ends with; where the next ones begin."""
    with log.open("rb") as file:
        file.seek(start)
        whole = re.split(rb"^(?=Error: )", file.read(), maxsplit=1, flags=re.MULTILINE)[0]
    whole = whole[: whole.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        report(line)
    return start + len(whole)


def _error(log: Path, start: int) -> str:
    """What the command has said of its failure, if it did."""
    text = log.read_bytes()[start:].decode(errors="replace").strip()
    return text.removeprefix("Error: ") if text.startswith("Error: ") else ""


def stop(state: State, report: Report) -> bool:
    """Stops the stack and waits until it has gone; False when none ran. Raises StopFailed.

    What a killed one left behind is ended too.
    """
    running = True
    try:
        Client(state.run).call("stop")
    except NotRunning:
        running = False
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            asyncio.run(_alone(state, report, lambda: None))
            return running
        except ServiceFailed as exc:
            if time.monotonic() > deadline:
                text = f"It is still stopping after {STOP_SECONDS:.0f} s; {state.log('up')} tells why."
                raise StopFailed(text) from exc
        time.sleep(POLL_SECONDS)


def erase(state: State, report: Report) -> None:
    """Removes all data, logs, records and remembered ports, not the unpacked servers.

    Raises ServiceFailed while it runs.
    """
    asyncio.run(_alone(state, report, lambda: _remove(state.root / name for name in ERASED)))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


async def _alone(state: State, report: Report, act: Callable[[], None]) -> None:
    """Acts while nobody else runs on this state, after what a killed run left has been ended. Raises ServiceFailed."""
    supervisor = Supervisor(report, run=state.run)
    await supervisor.take_over()
    try:
        act()
    finally:
        await supervisor.stop()
