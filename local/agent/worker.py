"""A thread that does the work, one piece after the other, while the connection to the broker is served elsewhere."""

import logging
import os
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Worker:
    """A daemon: a process that ends does not wait for it, and the broker redelivers what it was doing."""

    def __init__(self) -> None:
        self._pieces: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="worker", daemon=True).start()

    def submit(self, piece: Callable[[], None]) -> None:
        self._pieces.put(piece)

    def _run(self) -> None:
        try:
            while True:
                self._pieces.get()()
        except BaseException:  # without this thread the agent would hold its tasks and do none
            log.critical("the worker has failed; the agent ends, its task is delivered again", exc_info=True)
            os._exit(1)
