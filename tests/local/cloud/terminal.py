"""A command in a pseudo-terminal, and what its user sees."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`raw` is all that was printed so far, control sequences and all."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int, slave: int) -> None:
        self.process, self._master, self._slave = process, master, slave
        self.raw = ""

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.killpg(self.process.pid, signal.SIGWINCH)

    def read(self, seconds: float = 0.1) -> None:
        """Wait for what it prints in this time."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                self.raw += os.read(self._master, 65536).decode(errors="replace")
            elif self.process.poll() is not None:
                break

    def until(self, text: str, *, since: int = 0, within: float = 60) -> str:
        """Read until the text has been shown after so much of `raw`; what has been shown from there on."""
        seen, deadline = _CONTROL.sub("", self.raw[since:]), time.monotonic() + within
        while text not in seen:
            assert time.monotonic() < deadline, f"{text!r} was not shown within {within:g} s:\n{seen[-4000:]}"
            assert self.process.poll() is None, f"it ended before {text!r} was shown:\n{seen[-4000:]}"
            self.read()
            seen = _CONTROL.sub("", self.raw[since:])
        return seen

    def ended(self, *, within: float = 60) -> int:
        """Read until the command has ended; its exit code."""
        deadline = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it did not end within {within:g} s"
            self.read()
        self.read()
        return self.process.returncode

    def modes(self) -> list[object]:
        return list(termios.tcgetattr(self._slave))


@contextmanager
def terminal(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], columns: int = 110, rows: int = 30
) -> Iterator[Terminal]:
    """The command in a terminal of this size; it is killed with the block if it still runs then."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        command, cwd=cwd, env=dict(env), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    try:
        yield Terminal(process, master, slave)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(slave)
        os.close(master)
