"""The worker's thread."""

import subprocess
import sys
import threading
from pathlib import Path

from local.agent.worker import Worker

PROJECT = Path(__file__).resolve().parents[3]
FAULT = """
import time
from local.agent.worker import Worker
Worker().submit(lambda: 1 / 0)
time.sleep(20)
"""


def test_pieces_are_done_one_after_the_other_in_another_thread() -> None:
    worker, done = Worker(), threading.Event()
    threads: list[tuple[int, int]] = []
    for number in range(3):
        worker.submit(lambda number=number: threads.append((number, threading.get_ident())))  # type: ignore[misc]  # bound early
    worker.submit(done.set)
    assert done.wait(10)
    assert [number for number, _ in threads] == [0, 1, 2]
    assert len({thread for _, thread in threads} | {threading.get_ident()}) == 2


def test_a_fault_of_the_worker_itself_ends_the_process_for_its_supervisor_to_see() -> None:
    ended = subprocess.run([sys.executable, "-c", FAULT], cwd=PROJECT, capture_output=True, text=True, timeout=15)
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr
