"""Threads that do blocking work, each piece in its turn, with a bound on what waits."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Full(Exception):
    """As much work waits as may, or no thread can be begun for it."""


class Threads(Generic[Result]):
    """At most `count` threads, begun as they are needed, and `waiting` pieces of work besides those they do.

    A thread cannot be ended, so none of them keeps its process from ending.
    """

    def __init__(self, count: int, *, waiting: int) -> None:
        self._count, self._most = count, count + waiting
        self._turns: SimpleQueue[Future[Result]] = SimpleQueue()
        self._work: dict[Future[Result], Callable[[], Result]] = {}  # without what was cancelled
        self._lock = Lock()
        self._begun = self._held = 0

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Have it done. Cancelled before its turn, it never is. Raises Full."""
        with self._lock:
            if self._held >= self._most:
                raise Full
            if self._begun < min(self._count, self._held + 1):
                self._begin()
            self._held += 1
        future: Future[Result] = Future()
        self._work[future] = work
        future.add_done_callback(self._done)
        self._turns.put(future)
        return future

    def _begin(self) -> None:
        try:
            Thread(target=self._run, name=f"request-{self._begun + 1}", daemon=True).start()
        except RuntimeError as error:  # the machine has no more for this process
            raise Full from error
        self._begun += 1

    def _done(self, future: Future[Result]) -> None:
        self._work.pop(future, None)
        with self._lock:
            self._held -= 1

    def _run(self) -> None:
        while True:
            self._do(self._turns.get())

    def _do(self, future: Future[Result]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        work = self._work.pop(future)
        try:
            result = work()
        except BaseException as error:  # the thread lives on, whatever was raised
            future.set_exception(error)
        else:
            future.set_result(result)
