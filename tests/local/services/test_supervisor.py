"""Starting, watching and ending programs."""

import asyncio
import errno
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.services import records, supervisor
from local.services.process import Program, ServiceFailed
from local.services.supervisor import Supervisor

pytestmark = pytest.mark.anyio
# Says that it is up in a file, and what ended it in another.
WORK = """
import os, pathlib, signal, sys, time
name = sys.argv[1]
def stop(*_):
    with open('ended', 'a') as file: file.write(name + '\\n')
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path(name + '.new').write_text(str(os.getpid()))
pathlib.Path(name + '.new').rename(name + '.up')
time.sleep(600)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1] + '.up').touch()
time.sleep(600)
"""
DIES_WHEN_TOLD = """
import pathlib, time
pathlib.Path('one.up').touch()
if not pathlib.Path('bad').exists(): time.sleep(600)
"""

# Once asked to stop, goes when all four have been asked; alone it would be killed.
SOCIABLE = """
import pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(sys.argv[1] + '.asked').touch()
    while len(list(pathlib.Path().glob('*.asked'))) < 4: time.sleep(0.02)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1] + '.up').touch()
time.sleep(600)
"""
FULL_DISK = OSError(errno.ENOSPC, "No space left on device")


class Reports(list[str]):
    """What was told so far."""

    async def until(self, text: str) -> None:
        async with asyncio.timeout(20):
            while not any(text in line for line in self):
                await asyncio.sleep(0.02)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
async def supervise(tmp_path: Path, reports: Reports) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(reports.append, run=tmp_path)
    yield supervisor
    await supervisor.stop()


def program(folder: Path, name: str = "one", code: str = WORK) -> Program:
    async def ready() -> bool:
        return (folder / f"{name}.up").exists()

    command = (sys.executable, "-c", code, name)
    return Program(name, command, {}, folder, folder / f"{name}.log", ready, ready_timeout=20)


def pid_of(supervise: Supervisor, name: str = "one") -> int:
    [pid] = [status.pid for status in supervise.status() if status.name == name]
    assert pid is not None
    return pid


async def test_a_started_program_is_ready_and_running(tmp_path: Path, supervise: Supervisor) -> None:
    await supervise.start(program(tmp_path))
    assert (tmp_path / "one.up").exists()
    [status] = supervise.status()
    assert (status.name, status.state, status.restarts) == ("one", "running", 0)
    assert psutil.pid_exists(pid_of(supervise))


async def test_stop_ends_it_by_its_signal_and_forgets_it(tmp_path: Path, supervise: Supervisor) -> None:
    await supervise.start(program(tmp_path))
    pid = pid_of(supervise)
    await supervise.stop()
    assert not psutil.pid_exists(pid)
    assert (tmp_path / "ended").read_text() == "one\n"
    assert supervise.status() == []
    assert not (tmp_path / "one.pid").exists()


async def test_one_that_ends_at_its_start_fails_with_the_end_of_its_log(tmp_path: Path, supervise: Supervisor) -> None:
    code = "print('the reason', flush=True); raise SystemExit(3)"
    with pytest.raises(ServiceFailed) as failure:
        await supervise.start(program(tmp_path, code=code))
    lines = str(failure.value).splitlines()
    assert lines[0] == "one: ended at its start, with exit code 3"
    assert "the reason" in lines
    assert lines[-1].startswith("next: ")
    assert supervise.status() == []


async def test_one_that_never_gets_ready_fails_and_is_ended(tmp_path: Path, supervise: Supervisor) -> None:
    pids: list[int] = []

    async def never() -> bool:
        pids.append(pid_of(supervise))
        return False

    with pytest.raises(ServiceFailed, match=r"one: not ready after 0\.5 s"):
        await supervise.start(replace(program(tmp_path), ready=never, ready_timeout=0.5))
    assert not psutil.pid_exists(pids[0])


@pytest.mark.parametrize("place", ["command", "prefix", "cwd"])
async def test_a_file_that_is_not_there_is_named(tmp_path: Path, supervise: Supervisor, place: str) -> None:
    absent = tmp_path / "absent"
    changes: dict[str, Any] = {place: absent if place == "cwd" else (str(absent),)}
    with pytest.raises(ServiceFailed, match=r"(?s)^one: .*absent: No such file"):
        await supervise.start(replace(program(tmp_path), **changes))


async def test_a_cancelled_start_leaves_nothing(tmp_path: Path, supervise: Supervisor) -> None:
    async def never() -> bool:
        return False

    start = asyncio.create_task(supervise.start(replace(program(tmp_path), ready=never)))
    while not (tmp_path / "one.up").exists():
        await asyncio.sleep(0.02)
    pid = int((tmp_path / "one.up").read_text())
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not psutil.pid_exists(pid)


async def test_stop_ends_one_that_is_still_starting(tmp_path: Path, supervise: Supervisor) -> None:
    async def never() -> bool:
        return False

    start = asyncio.create_task(supervise.start(replace(program(tmp_path), ready=never)))
    while not (tmp_path / "one.up").exists():
        await asyncio.sleep(0.02)
    await supervise.stop()
    with pytest.raises(ServiceFailed):
        await start
    assert not psutil.pid_exists(int((tmp_path / "one.up").read_text()))


async def test_one_that_dies_is_reported_and_started_again(
    tmp_path: Path, supervise: Supervisor, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.05)
    await supervise.start(program(tmp_path))
    first = pid_of(supervise)
    psutil.Process(first).kill()
    await reports.until("one runs again")
    assert reports[0] == "one died, by signal SIGKILL; it is started again in 0.05 s"
    [status] = supervise.status()
    assert (status.state, status.restarts) == ("running", 1)
    assert status.pid != first


async def test_one_that_keeps_dying_is_retried_less_and_less_often(
    tmp_path: Path, supervise: Supervisor, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.05)
    monkeypatch.setattr(supervisor, "LONGEST_BACKOFF", 0.15)
    await supervise.start(program(tmp_path, code=DIES_WHEN_TOLD))
    (tmp_path / "bad").touch()
    (tmp_path / "one.up").unlink()
    psutil.Process(pid_of(supervise)).kill()
    async with asyncio.timeout(20):
        while sum("again in 0.15 s" in line for line in reports) < 2:
            await asyncio.sleep(0.02)
    waits = [line.split("again in ")[1] for line in reports if "again in" in line]
    assert waits[:4] == ["0.05 s", "0.1 s", "0.15 s", "0.15 s"]


async def test_a_stubborn_one_is_killed_with_its_children(
    tmp_path: Path, supervise: Supervisor, reports: Reports
) -> None:
    code = f"import subprocess; subprocess.Popen(['sleep', '600'], env={{'PATH': '/usr/bin:/bin'}})\n{STUBBORN}"
    await supervise.start(replace(program(tmp_path, code=code), stop_timeout=0.3))
    one = psutil.Process(pid_of(supervise))
    family = [one, *one.children()]
    assert len(family) == 2
    await supervise.stop()
    assert not any(records.is_alive(each) for each in family)
    assert reports == ["one did not stop within 0.3 s and was killed"]


async def test_what_was_started_later_is_ended_first(tmp_path: Path, supervise: Supervisor) -> None:
    for name in ("broker", "agent", "page"):
        await supervise.start(program(tmp_path, name))
    await supervise.stop()
    assert (tmp_path / "ended").read_text().split() == ["page", "agent", "broker"]


async def test_what_was_started_at_once_is_ended_at_once(
    tmp_path: Path, supervise: Supervisor, reports: Reports
) -> None:
    names = ("a", "b", "c", "d")
    await asyncio.gather(
        *(supervise.start(replace(program(tmp_path, name, SOCIABLE), stop_timeout=20)) for name in names)
    )
    await supervise.stop()
    assert {file.name for file in tmp_path.glob("*.asked")} == {f"{name}.asked" for name in names}
    assert reports == []  # nobody waited in vain for the others to be asked too


async def test_a_disk_that_is_full_at_the_start_is_a_failure_that_leaves_nothing(
    tmp_path: Path, supervise: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    def note(folder: Path, name: str, pid: int, stop_signal: signal.Signals) -> None:
        started.append(pid)
        raise FULL_DISK

    def forget(folder: Path, name: str) -> None:
        raise FULL_DISK

    monkeypatch.setattr(records, "note", note)
    monkeypatch.setattr(records, "forget", forget)
    with pytest.raises(ServiceFailed, match=r"^one: cannot run: No space left on device$"):
        await supervise.start(program(tmp_path))
    assert len(started) == 1
    assert not psutil.pid_exists(started[0])
    assert supervise.status() == []


@pytest.mark.parametrize("error", [FULL_DISK, RuntimeError("a fault")], ids=["disk", "fault"])
async def test_one_that_cannot_be_started_again_yet_is_tried_until_it_can(
    tmp_path: Path, supervise: Supervisor, reports: Reports, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.05)
    await supervise.start(program(tmp_path))
    failing, note = [error, error], records.note

    def note_when_possible(folder: Path, name: str, pid: int, stop_signal: signal.Signals) -> None:
        if failing:
            raise failing.pop()
        note(folder, name, pid, stop_signal)

    monkeypatch.setattr(records, "note", note_when_possible)
    psutil.Process(pid_of(supervise)).kill()
    await reports.until("one runs again")
    assert sum(str(error.args[-1]) in line for line in reports) == 2
    assert supervise.status()[0].state == "running"
    assert records.find(tmp_path, "one") is not None


async def test_one_whose_watch_failed_is_ended_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.05)

    def report(text: str) -> None:
        if "runs again" in text:
            raise SystemError("the watch fails")

    supervise = Supervisor(report, run=tmp_path)
    await supervise.start(program(tmp_path))
    child = supervise._children["one"]
    psutil.Process(pid_of(supervise)).kill()
    assert child.watch is not None
    _, unfinished = await asyncio.wait({child.watch}, timeout=20)
    assert not unfinished
    pid = pid_of(supervise)
    await supervise.stop()
    assert not psutil.pid_exists(pid)
    await free(tmp_path)


@pytest.mark.parametrize("broken", ["forget", "descendants", "gone"])
async def test_stop_ends_all_and_lets_the_next_begin_whatever_fails(
    tmp_path: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise FULL_DISK

    supervise = Supervisor(reports.append, run=tmp_path)
    for name in ("one", "two"):
        await supervise.start(program(tmp_path, name))
    pids = [pid_of(supervise, name) for name in ("one", "two")]
    with monkeypatch.context() as changed:
        changed.setattr(records, broken, fail)
        await supervise.stop()
    assert not any(map(psutil.pid_exists, pids))
    assert supervise.status() == []
    killed = "was killed: stopping it met OSError: [Errno 28] No space left on device"
    assert sorted(reports) == ([] if broken == "forget" else [f"one {killed}", f"two {killed}"])
    await free(tmp_path)


async def free(folder: Path) -> None:
    """Fails when another supervisor still has the folder."""
    following = Supervisor(print, run=folder)
    await following.take_over()
    await following.stop()


async def test_reports_that_nobody_can_read_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF", 0.05)

    def report(text: str) -> None:
        raise BrokenPipeError

    supervise = Supervisor(report, run=tmp_path)
    await supervise.start(program(tmp_path))
    try:
        psutil.Process(pid_of(supervise)).kill()
        async with asyncio.timeout(20):
            while supervise.status()[0].restarts == 0 or supervise.status()[0].state != "running":
                await asyncio.sleep(0.02)
    finally:
        await supervise.stop()


async def test_a_second_supervisor_is_refused_and_harms_nothing(tmp_path: Path, supervise: Supervisor) -> None:
    await supervise.start(program(tmp_path))
    other = Supervisor(print, run=tmp_path)
    with pytest.raises(ServiceFailed, match="another process already runs them"):
        await other.start(program(tmp_path, "two"))
    await other.stop()
    assert supervise.status()[0].state == "running"
    assert records.find(tmp_path, "one") is not None


async def test_the_next_supervisor_ends_what_a_killed_one_left(tmp_path: Path, reports: Reports) -> None:
    with subprocess.Popen([sys.executable, "-c", WORK, "old"], cwd=tmp_path) as old:
        try:
            while not (tmp_path / "old.up").exists():
                await asyncio.sleep(0.02)
            records.note(tmp_path, "old", old.pid, signal.SIGTERM)
            supervise = Supervisor(reports.append, run=tmp_path)
            await supervise.start(program(tmp_path))
            await supervise.stop()
            assert old.wait() == 0
        finally:
            old.kill()
    assert reports == ["ended what an earlier run left behind: old"]


async def test_a_stopped_one_lets_the_next_begin(tmp_path: Path, supervise: Supervisor) -> None:
    await supervise.start(program(tmp_path))
    await supervise.stop()
    following = Supervisor(print, run=tmp_path)
    await following.start(program(tmp_path))
    await following.stop()
