"""Everything that a handler should not do, by name."""

import ctypes
import errno
import logging
import mmap
import multiprocessing
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def app(event: Event, context: Any) -> Any:
    return TROUBLES[event.get("kind") or event["rawQueryString"]](event)


def loop(event: Event) -> None:
    print("looping")
    while True:
        pass


def match_for_ever(event: Event) -> Any:
    """In C, which lets no signal handler of Python in between."""
    return re.match(r"(a+)+$", "a" * 64 + "b")


def sleep(event: Event) -> None:
    time.sleep(60)


def write(event: Event) -> str:
    """Whether the file could be written, or what the system said."""
    try:
        with Path(event["path"]).open("ab") as file:
            file.truncate(int(event.get("megabytes", 0) * 1024 * 1024))
            os.posix_fallocate(file.fileno(), 0, max(1, int(event.get("megabytes", 0) * 1024 * 1024)))
    except OSError as exc:
        return errno.errorcode[exc.errno or 0]
    return "written"


def read(event: Event) -> str:
    """What is in a file, or what the system said."""
    try:
        return Path(event["path"]).read_text()
    except OSError as exc:
        return errno.errorcode[exc.errno or 0]


def unlock(event: Event) -> Any:
    """What the system says to whoever would write everywhere again, or stop its parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
    libc.syscall(442, -100, b"/", 0x8000, ctypes.byref(attributes), ctypes.c_size_t(32))  # mount_setattr
    unlocked = errno.errorcode.get(ctypes.get_errno(), "unlocked")
    libc.ptrace(16, os.getppid(), 0, 0)
    return [unlocked, errno.errorcode.get(ctypes.get_errno(), "attached")]


def find(event: Event) -> Any:
    """What there is in a folder, and how many megabytes its file system can hold."""
    size = os.statvfs(event["path"])
    names = sorted(path.name for path in Path(event["path"]).iterdir())
    return {"names": names, "megabytes": size.f_blocks * size.f_frsize // 1024 // 1024}


def name_temporary(event: Event) -> str:
    return tempfile.gettempdir()


def leave_a_thread(event: Event) -> str:
    def loop() -> None:
        while True:
            time.sleep(0.001)

    threading.Thread(target=loop).start()
    return "left"


def share_memory(event: Event) -> str:
    """Lambda has no /dev/shm, so what needs it fails."""
    try:
        multiprocessing.Semaphore()
    except OSError:
        return "refused"
    return "shared"


def compute(event: Event) -> None:
    end = time.thread_time() + event["seconds"]
    while time.thread_time() < end:
        pass


def end_process(event: Event) -> None:
    print("about to end", end="")
    os._exit(3)


def signal_self(event: Event) -> None:
    os.kill(os.getpid(), 11)


def fork_many(event: Event) -> int:
    """How many processes there can be."""
    pids: list[int] = []
    try:
        while len(pids) < event["most"] and (pid := os.fork()):
            pids.append(pid)
    except OSError:
        pass
    else:
        if len(pids) < event["most"]:
            time.sleep(60)
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return len(pids)


def fork_and_return(event: Event) -> Any:
    return {"child": os.fork() == 0}


def fork_and_leave(event: Event) -> None:
    """A grandchild in a session of its own keeps every descriptor open."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        time.sleep(600)
    print(f"left behind: {pid}")
    if not event.get("stay"):
        os._exit(0)


def close_streams(event: Event) -> str:
    sys.stdout.close()
    os.close(1)
    os.close(2)
    return "closed"


def close_descriptors(event: Event) -> str:
    os.closerange(3, 1024)
    return "closed"


def write_into_descriptors(event: Event) -> str:
    for descriptor in range(3, 1024):
        try:
            os.write(descriptor, b"\xff" * 100)
        except OSError:
            continue
    return "written"


def forge(event: Event) -> str:
    """Frames of our own on the invoker's socket, and later on more of them."""
    kind, header, body = event["kind_of_frame"].encode(), event["header"].encode(), event.get("body", "1").encode()
    frame = struct.pack("!cII", kind, len(header), len(body)) + header + body
    for _ in range(event.get("times", 1)):
        os.write(200, frame)
    return "real"


def print_megabytes(event: Event) -> str:
    for _ in range(50):
        print("x" * 99_999)
    sys.stderr.write("no newline at the end")
    return "printed"


def give_bytes(event: Event) -> bytes:
    return b"\x00\xff"


def give_nan(event: Event) -> Any:
    return {"value": float("nan")}


def give_object(event: Event) -> object:
    return object()


def give_much(event: Event) -> str:
    return "x" * 30_000_000


def raise_error(event: Event) -> None:
    raise LookupError("nothing found")


def raise_unprintable(event: Event) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError("not even this")

    raise Unprintable


def raise_exit(event: Event) -> None:
    sys.exit(4)


def raise_quiet_exit(event: Event) -> None:
    raise SystemExit


def raise_interrupt(event: Event) -> None:
    raise KeyboardInterrupt


def recurse(event: Event) -> Any:
    return recurse(event)


def allocate(event: Event) -> int:
    hoard = bytearray(event["megabytes"] * 1_000_000)
    for start in range(0, len(hoard), 4096):
        hoard[start] = 1
    time.sleep(event.get("seconds", 0))
    return len(hoard)


def allocate_in_children(event: Event) -> None:
    """In those of a thread: a process, and one that it starts."""

    def run() -> None:
        hoard = f"hoard = bytearray(b'x') * {event['megabytes']}_000_000"
        again = f"import subprocess, sys; {hoard}; subprocess.run([sys.executable, '-c', sys.argv[1]])"
        subprocess.run(
            [sys.executable, "-c", again, f"import time; {hoard}; time.sleep({event['seconds']})"], check=False
        )

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def share_pages(event: Event) -> None:
    pages = mmap.mmap(-1, event["megabytes"] * 1_000_000)
    for start in range(0, len(pages), 4096):
        pages[start] = 1
    time.sleep(event.get("seconds", 0))


def log(event: Event) -> str:
    print("printed line")
    logging.warning("logged line")
    return "ok"


def read_input(event: Event) -> str:
    return sys.stdin.read()


def modules(event: Event) -> Any:
    return {"local": [name for name in sys.modules if name.split(".")[0] == "local"], "six": "six" in sys.modules}


TROUBLES = {name: value for name, value in globals().items() if callable(value) and name not in ("app", "Any", "Path")}
