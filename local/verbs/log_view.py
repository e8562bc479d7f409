"""Reads the logs of functions and services as `facet logs` shows them."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from local.cloud.state import State

POLL_SECONDS = 0.3


class NoSuchLog(Exception):
    """Nothing of that name has written a log yet."""


def show(state: State, name: str | None, *, lines: int, follow: bool, write: Callable[[str], None]) -> None:
    """Writes the last `lines` lines of one log, or of all functions', and with `follow` goes on until Ctrl-C.

    Raises NoSuchLog.
    """
    ends: dict[Path, int] = {}

    def labelled(file: Path, line: str) -> str:
        return (line if name else f"{file.stem}: {line}").rstrip("\n")

    for file in _files(state, name):
        with file.open(errors="replace") as text:
            for line in deque(text, maxlen=lines):
                write(labelled(file, line))
            ends[file] = text.tell()
    while follow:
        time.sleep(POLL_SECONDS)
        for file in _files(state, name):
            for line in _new_lines(file, ends):
                write(labelled(file, line))


def _files(state: State, name: str | None) -> list[Path]:
    functions = state.log("functions").with_suffix("")
    if name is None:
        return sorted(functions.glob("*.log"))
    found = [path for path in (functions / f"{name}.log", state.log(name)) if path.is_file()]
    if not found:
        known = sorted({path.stem for path in [*functions.glob("*.log"), *state.log("x").parent.glob("*.log")]})
        raise NoSuchLog(f"There is no log of {name}. There are: {', '.join(known) or 'none yet; run `facet up`'}.")
    return found


def _new_lines(file: Path, ends: dict[Path, int]) -> list[str]:
    start = ends.get(file, 0)
    with file.open(errors="replace") as text:
        text.seek(start if start <= file.stat().st_size else 0)  # a rotated log begins anew
        lines = text.readlines()
        ends[file] = text.tell()
    return lines
