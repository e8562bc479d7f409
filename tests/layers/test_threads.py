"""Threads for blocking work, where the machine has none left."""

from threading import Thread

import pytest

from facet.adapters.threads import Full, Threads
from tests.layers.serving import PATIENCE


class Unstartable(Thread):
    """What a process is told that has as many threads as it may have."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def test_work_without_a_thread_is_refused_and_what_comes_later_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: Threads[int] = Threads(1, waiting=0)
    with monkeypatch.context() as exhausted:
        exhausted.setattr("facet.adapters.threads.Thread", Unstartable)
        with pytest.raises(Full):
            threads.submit(lambda: 1)
    assert threads.submit(lambda: 2).result(PATIENCE) == 2
