"""Processes that do the same work, each replaced when it ends by itself, all ended by a signal."""

import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from facet import log

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PAUSE = 1.0  # seconds at least between the beginnings of a process that ends again and again


class Workers:
    """So many processes. `work` gets the end of a pipe that closes when this process is gone.

    `on_stop` is what this process has to let go of itself when all of them are told to end.
    """

    def __init__(self, count: int, work: Callable[[int], None], on_stop: Callable[[], object]) -> None:
        self._count, self._work, self._on_stop = count, work, on_stop
        self._begun: dict[int, float] = {}
        self._stopping = False

    def run(self) -> None:
        """Begin them, and return when all of them have ended."""
        gc.freeze()  # what is imported by now stays shared between the processes
        for number in _SIGNALS:
            signal.signal(number, self._stop)
        self._watched, self._kept_open = os.pipe()
        for _ in range(self._count):
            self._begin()
        while self._begun:
            pid, status = os.wait()
            if pid in self._begun:  # the first process of a container is given orphans too
                self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        lived = time.monotonic() - self._begun.pop(pid)
        if self._stopping:
            return
        log.get().error("a process ended by itself and is replaced", extra={"pid": pid, "exit_code": code})
        time.sleep(max(0.0, _PAUSE - lived))
        self._begin()

    def _begin(self) -> None:
        """One more, unless all are to end: whoever were begun now would never be told."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # handlers would run in the wrong process
        if not self._stopping:
            pid = os.fork()
            if pid == 0:
                self._be_a_worker()
            self._begun[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be_a_worker(self) -> None:
        """Never returns."""
        code = 1
        try:
            os.close(self._kept_open)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who began this process passes it on
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            self._work(self._watched)
            code = 0
        except Exception as error:
            log.get().critical("a process failed", exc_info=error)
        finally:
            os._exit(code)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._on_stop()
        for pid in self._begun:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
