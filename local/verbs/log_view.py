"""Reads the logs of functions and services as `facet logs` shows them: by time, and without secrets."""

import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from local.cloud.state import State
from local.records.redact import redact
from local.records.ring import RecordNotFound, RecordsUnreadable, Ring
from local.suggestions import there_are
from local.verbs import printable

POLL_SECONDS = 0.2
TAIL_BYTES = 1_000_000
_START = re.compile(r"^START RequestId: (\S+)", re.MULTILINE)
_TIME = re.compile(r"(?:\"(?:ts|time|timestamp)\":\s*\"|\t)(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))")
_FAILED = re.compile(
    r"^REPORT .*\tStatus: (?!success)|^\[(?:ERROR|CRITICAL)\]|\"level\":\s*\"(?:ERROR|CRITICAL|FATAL)\"", re.MULTILINE
)
_FRAME = re.compile(r"(?:START|END|REPORT) RequestId: ")
_COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan")


class NoSuchLog(Exception):
    """Nothing of that name has written a log yet."""


@dataclass(frozen=True)
class Wanted:
    """Which entries, and how: all of an invocation is one entry. `since` is in seconds since 1970."""

    lines: int = 50
    since: float = 0.0
    errors: bool = False
    request: str = ""
    as_json: bool = False

    @property
    def whole(self) -> bool:
        """Whether it can be told of a whole entry only."""
        return self.errors or bool(self.request)

    def takes(self, entry: "Entry") -> bool:
        return (
            entry.time >= self.since
            and (not self.errors or bool(_FAILED.search(entry.text)))
            and (not self.request or entry.request.startswith(self.request))
        )


@dataclass(frozen=True)
class Entry:
    """What an invocation printed, or what stands between two of them."""

    source: str
    time: float
    text: str

    @property
    def request(self) -> str:
        start = _START.match(self.text)
        return start[1] if start else ""

    def shown(self, wanted: Wanted, label: bool) -> list[str]:
        """Its lines as they are printed; where the output is no terminal their colours are left out."""
        lines = redact(self.text).rstrip("\n").split("\n")
        if wanted.as_json:
            at = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="milliseconds")
            return [json.dumps({"time": at, "source": self.source, "line": line}) for line in lines]
        colour = _COLOURS[zlib.crc32(self.source.encode()) % len(_COLOURS)]
        before = f"{click.style(self.source, fg=colour)}: " if label else ""
        return [before + _styled(printable(line)) for line in lines]


class LogFile:
    """A log that is read on from where the last reading ended, also when it was put aside or emptied meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._older = path.with_name(path.name + ".1")
        self._inode, self._end, self._rest = 0, 0, ""

    def entries(self, started: Mapping[str, float], *, whole: bool) -> list[Entry]:
        """What is new; at first the last megabyte. With `whole`, an invocation is held back until it has ended."""
        text, self._rest = self._rest + self._new(), ""
        text, newline, unfinished = text.rpartition("\n")
        parts = [part for part in re.split(r"^(?=START RequestId: )", text + newline, flags=re.MULTILINE) if part]
        if whole and parts and _START.match(parts[-1]) and "\nREPORT RequestId: " not in parts[-1]:
            unfinished = parts.pop() + unfinished
        self._rest = unfinished
        found: list[Entry] = []
        latest = time.time()
        for part in reversed(parts):  # nothing noted when: not later than what comes after it
            start, noted = _START.match(part), _TIME.search(part)
            known = started.get(start[1]) if start else None
            latest = min(latest, known or (datetime.fromisoformat(noted[1]).timestamp() if noted else latest))
            found.insert(0, Entry(self.path.stem, latest, part))
        return found

    def _new(self) -> str:
        first, content = not self._inode, b""
        for path in (self._older, self.path):
            if path.is_file():
                with path.open("rb") as file:
                    found = os.fstat(file.fileno())
                    known = found.st_ino == self._inode
                    if path == self._older and not known and not first:
                        continue
                    file.seek(self._end if known and self._end <= found.st_size else 0)
                    content += file.read()
                    self._inode, self._end = found.st_ino, file.tell()
        return content[-TAIL_BYTES if first else 0 :].decode(errors="replace")


def show(state: State, name: str | None, wanted: Wanted, *, follow: bool, write: Callable[[str], None]) -> None:
    """Writes the last lines of one log, or of all functions', and with `follow` goes on until Ctrl-C.

    Raises NoSuchLog.
    """
    files = {path: LogFile(path) for path in _files(state, name)}
    last: list[str] = []
    recorded = [] if follow else _recorded(state, wanted)
    for entry in reversed(recorded or list(_new(files, state, wanted))):
        if len(last) < wanted.lines:
            last[:0] = entry.shown(wanted, label=name is None)
    for line in last[-wanted.lines :] if wanted.lines else ():
        write(line)
    while follow:
        time.sleep(POLL_SECONDS)
        files |= {path: LogFile(path) for path in _files(state, name) if path not in files}
        for entry in _new(files, state, wanted):
            for line in entry.shown(wanted, label=name is None):
                write(line)


def _new(files: Mapping[Path, LogFile], state: State, wanted: Wanted) -> Iterator[Entry]:
    """What came since the last time, by time."""
    try:
        started = Ring(state.records).started()
    except RecordsUnreadable:
        started = {}
    entries = [entry for file in files.values() for entry in file.entries(started, whole=wanted.whole)]
    return filter(wanted.takes, sorted(entries, key=lambda entry: entry.time))


def _recorded(state: State, wanted: Wanted) -> list[Entry]:
    """The log of one request where it is on record: in the file, those at work at the same time are mixed."""
    try:
        record = Ring(state.records).find(wanted.request) if wanted.request else None
    except (RecordNotFound, RecordsUnreadable):
        return []
    return [Entry(record.function, record.started, record.log)] if record else []


def _files(state: State, name: str | None) -> list[Path]:
    functions = state.log("functions").with_suffix("")
    if name is None:
        return sorted(functions.glob("*.log"))
    found = [path for path in (functions / f"{name}.log", state.log(name)) if path.is_file()]
    if not found:
        known = [path.stem for path in (*functions.glob("*.log"), *state.log("x").parent.glob("*.log"))]
        raise NoSuchLog(f"There is no log of {name}. {there_are(known, name, none='none yet; run `facet up`')}")
    return found


def _styled(line: str) -> str:
    if _FAILED.search(line):
        return click.style(line, fg="red")
    return click.style(line, dim=True) if _FRAME.match(line) else line
