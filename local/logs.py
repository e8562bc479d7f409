"""One log file per function, as Lambda prints it, of bounded size."""

import contextlib
from pathlib import Path
from typing import BinaryIO


class FunctionLog:
    """Appends lines to a file; when it is full, it becomes `<name>.log.1` and a new one begins."""

    def __init__(self, path: Path, *, limit: int = 5_000_000) -> None:
        self._path, self._limit = path, limit
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, text: str) -> None:
        """Append the text as whole lines. What cannot be written is lost: a full disk must not fail an invocation."""
        data = text.encode("utf-8", "backslashreplace").rstrip(b"\n") + b"\n"
        with contextlib.suppress(OSError):
            if self._file and self._size and self._size + len(data) > self._limit:
                self._rotate()
            file = self._file or self._open()
            file.write(data)
            self._size += len(data)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # it may hold what people sent
        self._file = self._path.open("ab", buffering=0)
        self._size = self._path.stat().st_size
        return self._file

    def _rotate(self) -> None:
        self.close()
        self._path.replace(self._path.with_name(self._path.name + ".1"))
