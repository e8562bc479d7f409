"""Threads that do blocking work, each piece in its turn, with a bound on what waits."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Full(Exception):
    """As much work waits as may."""


class Threads(Generic[Result]):
    """At most `count` threads, begun as they are needed, and `waiting` pieces of work besides those they do.

    A thread cannot be ended, so none of them keeps its process from ending.
    """

    def __init__(self, count: int, *, waiting: int) -> None:
        self._count, self._most = count, count + waiting
        self._work: SimpleQueue[tuple[Future[Result], Callable[[], Result]]] = SimpleQueue()
        self._lock = Lock()
        self._begun = self._held = 0

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Have it done. Cancelled before its turn, it never is. Raises Full."""
        with self._lock:
            if self._held >= self._most:
                raise Full
            self._held += 1
            begin = self._begun < min(self._count, self._held)
            self._begun += begin
        future: Future[Result] = Future()
        future.add_done_callback(self._done)
        self._work.put((future, work))
        if begin:
            Thread(target=self._run, name=f"request-{self._begun}", daemon=True).start()
        return future

    def _done(self, future: Future[Result]) -> None:
        with self._lock:
            self._held -= 1

    def _run(self) -> None:
        while True:
            self._do(*self._work.get())

    @staticmethod
    def _do(future: Future[Result], work: Callable[[], Result]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # the thread lives on, whatever was raised
            future.set_exception(error)
        else:
            future.set_result(result)
