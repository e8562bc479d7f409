"""Recognising and ending what an earlier run left behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.services import records

Start = Callable[[str], subprocess.Popen[str]]
SLEEP = "import time; print(flush=True); time.sleep(600)"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python code and returns once it has printed its first line."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_noted_process_is_found_until_it_ends(tmp_path: Path, start: Start) -> None:
    process = start(SLEEP)
    records.note(tmp_path, "one", process.pid)
    assert records.find(tmp_path, "one") == psutil.Process(process.pid)
    process.kill()
    process.wait()
    assert records.find(tmp_path, "one") is None


def test_an_ended_process_that_nobody_waited_for_counts_as_gone(tmp_path: Path, start: Start) -> None:
    process = start("print(flush=True)")
    records.note(tmp_path, "one", process.pid)
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert records.find(tmp_path, "one") is None


def test_a_forgotten_process_is_not_found(tmp_path: Path, start: Start) -> None:
    records.note(tmp_path, "one", start(SLEEP).pid)
    records.forget(tmp_path, "one")
    assert records.find(tmp_path, "one") is None


@pytest.mark.anyio
async def test_everything_noted_is_ended_with_its_children(tmp_path: Path, start: Start) -> None:
    parent = start(
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}], stdout=subprocess.DEVNULL); "
        "print(flush=True); child.wait()"
    )
    [child] = psutil.Process(parent.pid).children()
    records.note(tmp_path, "one", parent.pid)
    assert await records.end_all(tmp_path, patience=0.2) == ["one"]
    assert not records.is_alive(child)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_a_stale_process_gets_its_own_stop_signal(tmp_path: Path, start: Start) -> None:
    process = start(
        "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(7)); "
        "print(flush=True); time.sleep(600)"
    )
    records.note(tmp_path, "one", process.pid, signal.SIGINT)
    await records.end_all(tmp_path, patience=20)
    assert process.wait() == 7


@pytest.mark.anyio
async def test_a_later_process_with_the_noted_number_is_left_alone(tmp_path: Path, start: Start) -> None:
    process = start(SLEEP)
    records.note(tmp_path, "one", process.pid)
    file = tmp_path / "one.pid"
    noted = json.loads(file.read_text())
    file.write_text(json.dumps({**noted, "start": noted["start"] + "1"}))
    assert await records.end_all(tmp_path, patience=0.2) == []
    assert process.poll() is None


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"pid": 1}', '{"pid": -1, "start": "x", "stop": "SIGTERM"}'])
def test_an_unreadable_note_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.pid").write_text(text)
    assert records.find(tmp_path, "one") is None
