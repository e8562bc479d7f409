"""An event loop in the background for callers without one; what must run in the caller's own thread comes back."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Self, TypeVar

T = TypeVar("T")
U = TypeVar("U")
Errand = Callable[[], None]
_errands: ContextVar[SimpleQueue[Errand | None]] = ContextVar("errands")


class Caller:
    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="facet-local", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it on the loop, and meanwhile in this thread what it asks to be done `here`."""
        errands: SimpleQueue[Errand | None] = SimpleQueue()

        async def worked() -> T:
            _errands.set(errands)
            try:
                return await work()
            finally:
                errands.put(None)

        future = asyncio.run_coroutine_threadsafe(worked(), self._loop)
        try:
            while (errand := errands.get()) is not None:
                errand()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    @staticmethod
    async def here(call: Callable[[], T]) -> T:
        """Call it in the thread that waits in `run`: there a debugger, a signal or asyncio.run works as ever."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def errand() -> None:
            try:
                result = call()
            except Exception as exc:
                loop.call_soon_threadsafe(_settle, done, done.set_exception, exc)
            else:
                loop.call_soon_threadsafe(_settle, done, done.set_result, result)

        _errands.get().put(errand)
        return await done


def _settle(future: "asyncio.Future[T]", settle: Callable[[U], None], outcome: U) -> None:
    if not future.done():
        settle(outcome)
