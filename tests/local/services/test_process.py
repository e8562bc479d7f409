"""Starting programs, and what is told of those that fail."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.services import process
from local.services.process import Program, ServiceFailed

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights away")


async def _ready() -> bool:
    return True


def _program(folder: Path, code: str, **changes: object) -> Program:
    given = {
        "name": "one",
        "command": (sys.executable, "-c", code),
        "env": {},
        "cwd": folder,
        "log": folder / "logs" / "one.log",
        "ready": _ready,
    }
    return Program(**{**given, **changes})  # type: ignore[arg-type]  # fields by name, of whatever type


def test_a_failure_names_the_service_the_cause_the_log_and_the_way_out(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    lines = str(ServiceFailed("one", "it broke", advice="next: mend it", log=log)).splitlines()
    assert lines[:2] == ["one: it broke", f"last lines of {log}:"]
    assert lines[2:] == [*(f"line {number}" for number in range(85, 100)), "next: mend it"]


def test_a_failure_without_a_log_says_so_much_less(tmp_path: Path) -> None:
    assert str(ServiceFailed("one", "it broke", log=tmp_path / "none.log")) == "one: it broke"


def test_a_programs_secrets_are_not_in_its_repr(tmp_path: Path) -> None:
    assert "s3cret" not in repr(_program(tmp_path, "", env={"PASSWORD": "s3cret"}))


@pytest.mark.anyio
async def test_a_program_gets_its_own_environment_and_writes_to_its_log(tmp_path: Path) -> None:
    code = "import os, sys; print(sorted(os.environ.items()), flush=True); print(os.getcwd(), file=sys.stderr)"
    program = _program(tmp_path, code, env={"ONLY": "this", "LC_CTYPE": "C.UTF-8"})
    assert await (await process.spawn(program)).wait() == 0
    assert program.log.read_text() == f"[('LC_CTYPE', 'C.UTF-8'), ('ONLY', 'this')]\n{tmp_path}\n"


@pytest.mark.anyio
async def test_a_log_that_has_grown_long_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_LIMIT", 10)
    program = _program(tmp_path, "print('new')")
    program.log.parent.mkdir()
    program.log.write_text("old and long\n")
    await (await process.spawn(program)).wait()
    assert program.log.read_text() == "new\n"
    assert program.log.with_suffix(".log.1").read_text() == "old and long\n"


@pytest.mark.anyio
async def test_a_command_gives_its_exit_code_and_all_it_said(tmp_path: Path) -> None:
    code = "import os; os.write(1, b'out '); os.write(2, b'err'); raise SystemExit(3)"
    assert await process.run(sys.executable, "-c", code, cwd=tmp_path, env={}) == (3, "out err")


@pytest.mark.anyio
async def test_a_cancelled_command_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import pathlib, subprocess; child = subprocess.Popen(['sleep', '600']); "
        "pathlib.Path('pid').write_text(str(child.pid)); pathlib.Path('done').touch(); child.wait()"
    )
    task = asyncio.create_task(process.run(sys.executable, "-c", code, cwd=tmp_path, env={"PATH": os.environ["PATH"]}))
    while not (tmp_path / "done").exists():
        await asyncio.sleep(0.02)
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="without setpriv the next start ends what is left")
def test_a_program_is_told_to_stop_when_its_starter_is_killed(tmp_path: Path) -> None:
    child = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_): pathlib.Path('stopped').touch(); sys.exit()\n"
        "signal.signal(signal.SIGINT, stop); pathlib.Path('up').touch(); time.sleep(600)"
    )
    starter = (
        "import asyncio, pathlib, signal, sys\n"
        "from local.services.process import Program, spawn, without_root\n"
        "async def main():\n"
        f"    await spawn(Program('one', (sys.executable, '-c', {child!r}), {{}}, pathlib.Path({str(tmp_path)!r}),\n"
        f"        pathlib.Path({str(tmp_path / 'log')!r}), None, stop_signal=signal.SIGINT, prefix=without_root()))\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", starter], cwd=Path(__file__).parents[3]) as running:
        try:
            _await(tmp_path / "up")
        finally:
            running.kill()
    _await(tmp_path / "stopped")


def _await(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, f"{file.name} did not appear"
        time.sleep(0.02)


@as_root
def test_root_drops_its_rights_and_others_have_none_to_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    process.without_root.cache_clear()
    uid = subprocess.run([*process.without_root(), "id", "-u"], capture_output=True, text=True, check=True).stdout
    assert int(uid) != 0
    process.without_root.cache_clear()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert process.without_root() == ()
    process.without_root.cache_clear()


@as_root
def test_where_users_cannot_be_mapped_the_user_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    process.without_root.cache_clear()
    prefix = process.without_root()
    process.without_root.cache_clear()
    uid = subprocess.run([*prefix, "id", "-u"], capture_output=True, text=True, check=True).stdout
    assert prefix[0] == "setpriv"
    assert int(uid) != 0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder others may pass through, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@as_root
def test_what_a_program_writes_belongs_to_the_user_it_runs_as_and_comes_back(folder: Path) -> None:
    data = folder / "state" / "data" / "one"
    data.mkdir(parents=True)
    (data / "file").touch()
    folder.chmod(0o700)
    process.give_to_user_of(("setpriv",), data, below=folder)
    assert (data / "file").stat().st_uid == data.stat().st_uid != 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    process.give_to_user_of((), data, below=folder)
    assert (data / "file").stat().st_uid == data.stat().st_uid == 0
