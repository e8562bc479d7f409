"""Server programs out of Debian packages, unpacked into a folder: no root, nothing installed, no scripts run."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from local.services.process import run

STAMP = "unpacked"
LOCK_POLL = 0.2
APT = ("apt-get", "-q", "-o", "APT::Sandbox::User=root")  # as root: do not change to a user who cannot write here


class Unavailable(Exception):
    """The packages cannot be had here, and why."""


async def unpack(
    packages: Sequence[str], target: Path, report: Callable[[str], None], *, adapt: Callable[[Path], None]
) -> Path:
    """Make `target` hold the packages' files, fitted to their place by `adapt`: once, by one process at a time."""
    stamp = " ".join((str(target), *packages))
    if _is_unpacked(target, stamp):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    async with _alone(target.with_suffix(".lock"), report):
        if not _is_unpacked(target, stamp):
            draft = target.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            await _fetch(packages, draft, report)
            adapt(draft / "root")
            (draft / "root" / STAMP).write_text(stamp)
            shutil.rmtree(target, ignore_errors=True)
            (draft / "root").rename(target)
            shutil.rmtree(draft)
    return target


@contextlib.asynccontextmanager
async def _alone(file: Path, report: Callable[[str], None]) -> AsyncIterator[None]:
    lock, told = FileLock(file, thread_local=False), False
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            if not told:
                report("another process is fetching the packages, waiting for it")
                told = True
            await asyncio.sleep(LOCK_POLL)
    try:
        yield
    finally:
        lock.release()


def _is_unpacked(target: Path, stamp: str) -> bool:
    """A project folder that was moved needs another copy: the programs know where they are."""
    try:
        return (target / STAMP).read_text() == stamp
    except FileNotFoundError:
        return False


async def _fetch(packages: Sequence[str], folder: Path, report: Callable[[str], None]) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise Unavailable(f"there is no {tool} here, so this is not Debian or Ubuntu")
    debs, root = folder / "debs", folder / "root"
    debs.mkdir(parents=True)
    root.mkdir()
    report(f"downloading {len(packages)} Debian packages, once")
    await _download(packages, folder, debs, report)
    report("unpacking")
    results = await asyncio.gather(
        *(_command("dpkg", "-x", str(deb), str(root), cwd=folder) for deb in debs.glob("*.deb"))
    )
    if broken := [output for code, output in results if code]:
        raise Unavailable(f"dpkg cannot unpack the packages: {broken[0][-300:]}")


async def _download(packages: Sequence[str], folder: Path, debs: Path, report: Callable[[str], None]) -> None:
    """By the system's package lists or, where they are missing or outdated, by lists fetched for this alone."""
    code, _ = await _command(*APT, "download", *packages, cwd=debs)
    if code == 0:
        return
    report("fetching package lists")
    lists, cache = folder / "lists", folder / "cache"
    for each in (lists / "partial", cache / "archives" / "partial"):
        each.mkdir(parents=True)
    private = (*APT, "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}")
    _, said = await _command(*private, "update", cwd=debs)  # one repository of several may fail: see what it gives
    code, output = await _command(*private, "download", *packages, cwd=debs)
    if code:
        raise Unavailable(f"apt-get cannot download the packages: {_complaints(output, said)}")


async def _command(*command: str, cwd: Path) -> tuple[int, str]:
    return await run(*command, cwd=cwd, env={**os.environ, "LC_ALL": "C"})


def _complaints(*outputs: str) -> str:
    lines = dict.fromkeys(line for output in outputs for line in output.splitlines() if line[:2] in ("E:", "W:"))
    return " ".join([*lines][:4]) or outputs[0][-300:]
