"""What a sandbox's process takes of memory and of the processor, as seen by itself and by the invoker.

Memory is what the process alone occupies: the private pages it has written. What it shares with the zygote (the
packages of all functions) and files that it merely maps count neither for the limit nor for Max Memory Used. A fresh
interpreter shares with nobody: there the figure holds all that the function imports, as in the cloud. Pages that a
process shares with its own children count nowhere.
"""

import contextlib
import re
import resource
import sys
from pathlib import Path

_FIGURE = re.compile(rb"^(VmHWM|VmRSS|RssFile|Private_Dirty):\s+(\d+) kB", re.MULTILINE)
_FEW_KB, _FEW_FAULTS = 1024, 256


class Memory:
    """Of the process with this id, or of this one. A process that has ended has its last known figure."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._folder = Path("/proc", str(pid or "self"))
        self._peak = self._high = self._faults = 0
        self.with_children_kb = 0
        """The most that `over` saw while there were children."""

    def peak_kb(self) -> int:
        """The most there ever was. Exact to a megabyte: the exact figure takes half a millisecond to read.

        What came and went since it was last read is known by the kernel's own peak, which counts every page alike.
        """
        with contextlib.suppress(OSError):  # the process has ended, or its handler has used up all descriptors
            if sys.platform != "linux":
                return self._elsewhere()
            status, faults = self._read("status"), self._minor_faults()
            high = status[b"VmHWM"]
            if high - self._high > _FEW_KB or faults - self._faults > _FEW_FAULTS:
                passed = high - status[b"VmRSS"] if high > self._high else 0
                self._peak = max(self._peak, self._private_kb() + passed)
                self._high, self._faults = high, faults
        return self._peak

    def over(self, limit_kb: int) -> int:
        """What it and its children have at this moment if that is over the limit, otherwise 0."""
        with contextlib.suppress(OSError, LookupError):  # the process has ended
            if sys.platform != "linux":
                used = self._elsewhere()
            elif children := self._children():
                used = self._private_kb() + sum(child._with_children_kb() for child in children)
                self.with_children_kb = max(used, self.with_children_kb)
            else:
                status = self._read("status")
                used = status[b"VmRSS"] - status[b"RssFile"]  # quickly read, and never below the exact figure
                used = self._private_kb() if used > limit_kb else 0
            return used if used > limit_kb else 0
        return 0

    def _children(self) -> list["Memory"]:
        """Those that threads of it have started, too."""
        found = b" ".join((thread / "children").read_bytes() for thread in (self._folder / "task").iterdir())
        return [Memory(int(pid)) for pid in found.split()]

    def _with_children_kb(self) -> int:
        with contextlib.suppress(OSError, LookupError):  # the process has ended
            return self._private_kb() + sum(child._with_children_kb() for child in self._children())
        return 0

    def _private_kb(self) -> int:
        return self._read("smaps_rollup")[b"Private_Dirty"]

    def _minor_faults(self) -> int:
        return int((self._folder / "stat").read_bytes().rpartition(b")")[2].split()[7])

    def _read(self, file: str) -> dict[bytes, int]:
        return {name: int(kb) for name, kb in _FIGURE.findall((self._folder / file).read_bytes())}

    def _elsewhere(self) -> int:
        if self._pid is None:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        import psutil

        with contextlib.suppress(psutil.Error):
            self._peak = max(self._peak, psutil.Process(self._pid).memory_info().rss // 1024)
        return self._peak


def cpu_ms() -> float:
    """The processor time of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) * 1000


def cpu_ms_of(pid: int) -> float:
    """The same of another process, in steps of 10 ms; 0 when it has ended."""
    import psutil  # not for a sandbox to pay for

    with contextlib.suppress(psutil.Error):
        return sum(psutil.Process(pid).cpu_times()[:4]) * 1000
    return 0.0
