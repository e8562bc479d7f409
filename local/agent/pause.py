"""Waiting longer after each failure."""


class Pause:
    """Seconds to wait, doubling from the first to the longest until something succeeds."""

    def __init__(self, *, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def next(self) -> float:
        seconds, self._next = self._next, min(self._next * 2, self._longest)
        return seconds

    def reset(self) -> None:
        self._next = self._first
