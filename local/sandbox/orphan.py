"""Lets no process outlive the one that started it, and no grandchild outlive its sandbox."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS, _ROUND_SECONDS = 20, 0.005


def end_with_parent(parent: int) -> None:
    """Die when the process `parent`, which started this one, dies."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent has ended."""
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_group(pid: int) -> None:
    """Kill a process and all of its group, which may outlive it."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def end_in(namespace: int) -> None:
    """Kill what lives in this mount namespace, whatever session and parent it has by now."""
    home = os.fstat(namespace).st_ino
    for _ in range(_ROUNDS):  # what is killed may have forked, and takes its time to end
        with os.scandir("/proc") as entries:
            found = [int(each.name) for each in entries if each.name.isdigit() and _home_of(each.path) == home]
        if not found:
            return
        for pid in found:
            kill_group(pid)
        time.sleep(_ROUND_SECONDS)


def namespace_of(pid: int) -> int | None:
    """A descriptor of the process's mount namespace, if not ours. While it is open, no other gets its number."""
    with contextlib.suppress(OSError):
        if _home_of("/proc/self") != _home_of(f"/proc/{pid}"):
            return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    return None


def _home_of(process: str) -> int | None:
    try:
        return os.stat(f"{process}/ns/mnt").st_ino  # noqa: PTH116 - for each process there is
    except OSError:  # it has ended
        return None


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
