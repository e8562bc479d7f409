"""Where the memory of large bodies comes from, so that `facet up` is as small after a press of uploads as before."""

import ctypes
import sys

_M_MMAP_THRESHOLD = -3
_LARGE = 256 * 1024


def give_large_back() -> None:
    """Have what is large returned to the system once it is free. glibc stops doing so after the first megabytes."""
    allocator = ctypes.CDLL(None)
    if sys.platform == "linux" and hasattr(allocator, "mallopt"):  # musl has none
        allocator.mallopt(_M_MMAP_THRESHOLD, _LARGE)
