"""The heap: what a photo took goes back to the system at once, so that the next one starts from as little."""

import contextlib
import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 1024 * 1024


@cache
def give_back_large_blocks() -> None:
    """Fix the two thresholds below which glibc keeps what is freed: it raises them to 64 MB by itself."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc: others have no such habit
        for threshold in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            ctypes.CDLL(None).mallopt(threshold, _LARGE)
