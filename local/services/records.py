"""Which processes run, noted on disk, so that the next start finds what a killed run left behind."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from time import monotonic

import psutil

POLL = 0.05
DYING = 2.0  # the kernel needs a moment to end a killed process


def note(folder: Path, name: str, pid: int, stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """Note a process well enough to recognise it later, and how it wants to be stopped."""
    if (start := _start_of(pid)) is not None:
        (folder / f"{name}.pid").write_text(json.dumps({"pid": pid, "start": start, "stop": stop_signal.name}))


def forget(folder: Path, name: str) -> None:
    (folder / f"{name}.pid").unlink(missing_ok=True)


def find(folder: Path, name: str) -> psutil.Process | None:
    """The noted process if it still runs; never a later one that got its number."""
    noted = _read(folder / f"{name}.pid")
    return noted[0] if noted else None


async def end_all(folder: Path, patience: float) -> list[str]:
    """End every noted process with all its descendants; the names of those that still ran."""
    running = {file.stem: noted for file in folder.glob("*.pid") if (noted := _read(file))}
    families = [each for process, _ in running.values() for each in (process, *descendants(process.pid))]
    for process, stop_signal in running.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    await gone(families, patience)
    for file in folder.glob("*.pid"):
        file.unlink()
    return sorted(running)


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


async def gone(processes: Iterable[psutil.Process], patience: float) -> None:
    """Return when these are gone; what is not after `patience` seconds is killed."""
    alive = await _still_alive(processes, patience)
    for each in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    await _still_alive(alive, DYING)


async def _still_alive(processes: Iterable[psutil.Process], patience: float) -> list[psutil.Process]:
    alive, deadline = [each for each in processes if is_alive(each)], monotonic() + patience
    while alive and monotonic() < deadline:
        await asyncio.sleep(POLL)
        alive = [each for each in alive if is_alive(each)]
    return alive


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and only waits for its parent to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _read(file: Path) -> tuple[psutil.Process, signal.Signals] | None:
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        noted = json.loads(file.read_text())
        process, stop_signal = psutil.Process(int(noted["pid"])), signal.Signals[noted["stop"]]
        if _start_of(process.pid) == noted["start"] and is_alive(process):
            return process, stop_signal
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
