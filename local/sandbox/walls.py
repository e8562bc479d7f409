"""What a sandbox may write to: a /tmp of its own and nothing else, as in Lambda. Linux namespaces make it so.

Where the kernel allows none (macOS, some containers, Linux before 5.12) a sandbox gets a folder of its own for
temporary files, with a limit to each file, and could write elsewhere.
"""

import ctypes
import functools
import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_NOSUID, _NODEV, _BIND, _REC, _PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _RDONLY = 442, -100, 0x8000, 1
_CAPABILITY_VERSION, _PR_CAPBSET_DROP = 0x20080522, 24
_SYS_PTRACE, _SYS_ADMIN = 19, 21
_TMP = Path("/tmp")  # noqa: S108 - the very folder that is replaced
_MEGABYTE, _PROCESSES = 1024 * 1024, 1024

_libc = ctypes.CDLL(None, use_errno=True)


@functools.cache
def available() -> str:
    """Why there can be no walls on this machine; empty where there can."""
    import subprocess  # a sandbox need not pay for it

    if sys.platform != "linux":
        return "only Linux has namespaces"
    tried = subprocess.run([sys.executable, "-I", "-S", __file__], capture_output=True, text=True, check=False)
    return tried.stderr.strip().rpartition("\n")[2] if tried.returncode else ""


def enter(
    megabytes: int, *, shared: Iterable[str], visible: Iterable[str], hidden: Iterable[str], folder: str | None
) -> None:
    """Let this process write to a new /tmp of this size and to what is `visible` there, and to nothing else.

    `shared` stays readable, also below /tmp and in what is `hidden`, which is empty otherwise. With a `folder`, no
    namespace is tried: it is all there is for temporary files. Raises OSError.
    """
    if folder is not None:
        os.environ["TMPDIR"] = folder
        if "tempfile" in sys.modules:
            sys.modules["tempfile"].tempdir = None  # type: ignore[attr-defined] # found before the fork
        resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes * _MEGABYTE,) * 2)
        return
    _unshare()
    _mount(None, "/", None, _REC | _PRIVATE)
    writable = [path for path in map(Path, visible) if path.exists()]
    closed = [path for path in map(Path, hidden) if path.exists()]
    readable = [Path(path) for path in (*shared, *sys.path, sys.prefix, sys.base_prefix) if path]
    kept = _held([_TMP, *writable, *closed], [*writable, *readable])
    _mount("tmpfs", _TMP, "tmpfs", _NOSUID | _NODEV, f"size={megabytes}m,mode=1777")
    for path in sorted({*kept, *closed}, key=lambda path: len(path.parts)):  # outer folders first
        if path in closed:
            _hide(path)
        if path in kept:
            _bind(kept[path], path)
    _set_attributes(Path("/"), _AT_RECURSIVE, add=_RDONLY)
    for path in (_TMP, *writable):
        _set_attributes(path, 0, clear=_RDONLY)
    _drop_capabilities()


def _unshare() -> None:
    """Root keeps its users: in a namespace of its own it could not read what others own."""
    user, group = os.getuid(), os.getgid()
    if user == 0 and _libc.unshare(_NEWNS) == 0:
        return
    _check(_libc.unshare(_NEWNS | _NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    most = resource.getrlimit(resource.RLIMIT_NPROC)[1]  # counted in this namespace; root's are not limited
    fewer = _PROCESSES if most == resource.RLIM_INFINITY else min(most, _PROCESSES)
    resource.setrlimit(resource.RLIMIT_NPROC, (fewer, fewer))


def _held(covers: list[Path], paths: list[Path]) -> dict[Path, int]:
    """Descriptors of those that will be covered, and so have to be mounted again."""
    covered = {path for path in paths if path.exists() and any(path.is_relative_to(cover) for cover in covers)}
    return {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in covered}


def _hide(path: Path) -> None:
    if path.is_dir():
        _mount("tmpfs", path, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    elif path.exists():
        _mount("/dev/null", path, None, _BIND)


def _bind(descriptor: int, path: Path) -> None:
    source = Path(f"/proc/self/fd/{descriptor}")
    if not path.exists():
        (path if source.is_dir() else path.parent).mkdir(parents=True, exist_ok=True)
        if not source.is_dir():
            path.touch()
    _mount(source, path, None, _BIND | _REC)
    os.close(descriptor)


def _mount(source: Path | str | None, target: Path | str, kind: str | None, flags: int, data: str = "") -> None:
    name = None if source is None else os.fsencode(source)
    done = _libc.mount(name, os.fsencode(target), kind and kind.encode(), ctypes.c_ulong(flags), data.encode())
    _check(done, f"mount {target}")


def _set_attributes(path: Path, flags: int, *, add: int = 0, clear: int = 0) -> None:
    attributes = (ctypes.c_uint64 * 4)(add, clear, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    done = _libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attributes), size)
    _check(done, f"mount_setattr {path}")


def _drop_capabilities() -> None:
    """Nobody is to undo this, or to look into other processes. Root keeps the rest: it may need what others own."""
    header, held = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if os.getuid() == 0:
        _check(_libc.capget(ctypes.byref(header), ctypes.byref(held)), "capget")
        for capability in (_SYS_PTRACE, _SYS_ADMIN):
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # for programs it starts; not every container lets it
            for kind in range(3):  # effective, permitted, inheritable
                held[kind] &= ~(1 << capability)
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(held)), "capset")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


if __name__ == "__main__":
    enter(1, shared=(), visible=(), hidden=(), folder=None)
