"""How much of requests is held at once: what clients send slowly, or in large number, must not fill the memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facet.adapters import Busy

SMALL = 65_536  # bytes that every body may have, so that those who sign in need not wait for photos
TOGETHER = 268_435_456  # bytes: 40 of the largest


class Bodies:
    """Bodies that are held, from their first byte to the answer. None grows beyond SMALL while `together` are held."""

    def __init__(self, *, together: int = TOGETHER) -> None:
        self._together, self._held = together, 0

    @contextmanager
    def one(self) -> Iterator[Callable[[int], None]]:
        """What to tell each further number of bytes of one body; it raises Busy."""
        size = 0

        def grow(by: int) -> None:
            nonlocal size
            size, self._held = size + by, self._held + by
            if size > SMALL and self._held > self._together:
                raise Busy("More is being sent than is held.")

        try:
            yield grow
        finally:
            self._held -= size
