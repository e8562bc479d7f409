"""What a sandbox's process uses of memory."""

import contextlib
import os
import re
import sys
from pathlib import Path

import psutil

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_PRIVATE = re.compile(rb"^Private_(?:Clean|Dirty):\s+(\d+) kB", re.MULTILINE)
_PEAK = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def exceeds(pid: int, limit_mb: int) -> bool:
    """Whether the process has more private memory than this. Pages it shares with the zygote do not count.

    The cheap figure (resident without file pages) is never below the exact one, which is read only where it matters.
    """
    limit_kb = limit_mb * 1024
    with contextlib.suppress(OSError, psutil.Error):  # the process has ended
        if sys.platform != "linux":
            return bool(psutil.Process(pid).memory_info().rss > limit_kb * 1024)
        resident, shared = Path(f"/proc/{pid}/statm").read_bytes().split()[1:3]
        if (int(resident) - int(shared)) * _PAGE_KB <= limit_kb:
            return False
        private = _PRIVATE.findall(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
        return sum(map(int, private)) > limit_kb
    return False


def peak_kb(pid: int) -> int:
    """The most that was ever resident, shared pages included; 0 when the process has ended."""
    with contextlib.suppress(OSError, psutil.Error):
        if sys.platform != "linux":
            return int(psutil.Process(pid).memory_info().rss // 1024)
        if found := _PEAK.search(Path(f"/proc/{pid}/status").read_bytes()):
            return int(found[1])
    return 0
