"""The ring of records: an SQLite file that one thread writes and any process of the same user may read."""

import contextlib
import json
import queue
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local.invocation import Invocation
from local.records.record import Record

_COLUMNS = tuple(field.name for field in fields(Record))
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE invocations (seq INTEGER PRIMARY KEY, size INTEGER NOT NULL, {", ".join(_COLUMNS)});
CREATE INDEX sizes ON invocations (seq, size);
CREATE TABLE spans (seq INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, start REAL NOT NULL, span TEXT NOT NULL);
CREATE INDEX traces ON spans (trace_id);
PRAGMA user_version = {_VERSION};
"""
_INSERT = f"INSERT INTO invocations (size, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)})"  # noqa: S608 # our own names
_BEYOND = "SELECT seq FROM (SELECT seq, sum(size) OVER (ORDER BY seq DESC) AS total FROM invocations) WHERE total > ?"
# The oldest bodies go first, then the oldest records: a few photos do not push a day of small events out.
_CUT = f"""
UPDATE invocations SET whole = 0, size = min(size, 3 * :cut),
    event = substr(event, 1, :cut), payload = substr(payload, 1, :cut), log = substr(log, 1, :cut)
WHERE size > 3 * :cut AND seq IN ({_BEYOND.replace("?", ":bytes")})
"""  # noqa: S608
_CUT_BYTES = 16_384
_SPANS_PER_RECORD = 20
_LARGEST_SPAN = 65_536
_BATCH = 500
_PAUSE = 0.05
_PATIENCE = 5.0

# What an id may be written in: W3C's traceparent, or X-Ray's header.
_TRACE_ID = re.compile(r"^(?:root=)?1-(?=[0-9a-f]{8}-[0-9a-f]{24}\b)|^00-(?=[0-9a-f]{32}-)|(?<=^00-.{32})-.*|;.*")
_ID = re.compile(r"[0-9a-f][0-9a-f-]{3,63}")
_NAMING = ("faas.invocation_id", "messaging.message.conversation_id", "messaging.message.id")

Change = Callable[[sqlite3.Connection], object]


class RecordNotFound(Exception):
    """No record, or more than one, begins like that."""


class RecordsUnreadable(Exception):
    """The file of the records cannot be read; the text says why."""


class Ring:
    """The last `capacity` invocations in at most `megabytes`. The newest half of the bytes is kept as it was, of older
    ones the first 16 KB of each body. What cannot be written is lost: a full disk must not fail an invocation."""

    def __init__(
        self, path: Path, *, capacity: int = 1000, megabytes: int = 64, report: Callable[[str], None] = print
    ) -> None:
        self._path, self._capacity, self._bytes = path, capacity, megabytes * 1_000_000
        self._report, self._complained = report, False
        self._changes: queue.SimpleQueue[tuple[Change, int] | threading.Event | None] = queue.SimpleQueue()
        self._waiting = 0
        self._cleared = 0.0
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None

    def add(self, invocation: Invocation, environment: str = "") -> None:
        """Keep a finished invocation; `environment` is a fingerprint of the function's settings."""
        if invocation.started > self._cleared:
            size = len(invocation.event) + len(invocation.payload)
            self._put(lambda conn: _insert(conn, invocation, environment), size)

    def spans(self, spans: Iterable[dict[str, Any]], *, size: int = 0) -> None:
        """Keep spans of any traces; those with more than 64 KB of attributes are left out.

        The thread that writes goes through them. `size` is about how many bytes they take until then.
        """

        def insert(conn: sqlite3.Connection) -> None:
            texts = ((span["trace_id"], span["start"], json.dumps(span)) for span in spans)
            rows = [row for row in texts if row[1] > self._cleared and len(row[2]) <= _LARGEST_SPAN]
            conn.executemany("INSERT INTO spans (trace_id, start, span) VALUES (?, ?, ?)", rows)

        self._put(insert, size)

    def clear(self) -> None:
        """Forget everything, on disk too, and what began before now and is not finished yet."""
        self._cleared = time.time()
        if self._writer or self._path.exists():
            self._put(_erase, 0)

    def latest(self, n: int, function: str | None = None, *, errors: bool = False) -> list[Record]:
        """The newest first. `errors` are failed functions and answers from 400 on. Raises RecordsUnreadable."""
        failed = "(status <> 'success' OR http_status >= 400)" if errors else "1"
        where = f"{failed} AND (:function IS NULL OR function = :function) ORDER BY seq DESC LIMIT :n"
        return self._records(where, {"function": function, "n": n})

    def started(self) -> dict[str, float]:
        """When each invocation began, by its request id. Raises RecordsUnreadable."""
        with self._reading() as conn:
            return dict(conn.execute("SELECT request_id, started FROM invocations").fetchall())

    def find(self, prefix: str) -> Record:
        """The record whose request id begins so. Raises RecordNotFound and RecordsUnreadable."""
        found = self._records("substr(request_id, 1, length(:prefix)) = :prefix ORDER BY seq DESC", {"prefix": prefix})
        if len({record.request_id for record in found}) > 1:
            raise RecordNotFound(f"{len(found)} records begin with {prefix}. Give more of the id: `facet records`.")
        if not found:
            raise RecordNotFound(f"No record begins with {prefix}. `facet records` lists those that are kept.")
        return found[0]

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of the newest trace whose id begins so, by their start. Raises RecordsUnreadable."""
        with self._reading() as conn:
            newest = "SELECT trace_id FROM spans WHERE trace_id >= ? AND trace_id < ? || 'g' ORDER BY seq DESC LIMIT 1"
            rows = conn.execute(
                f"SELECT span FROM spans WHERE trace_id = ({newest}) ORDER BY start, seq",  # noqa: S608
                (trace_id, trace_id),
            )
            return [json.loads(span) for (span,) in rows]

    def find_trace(self, text: str) -> str:
        """The newest trace whose id begins so, or in which an invocation or a message has such an id.

        Raises RecordNotFound and RecordsUnreadable.
        """
        wanted = _TRACE_ID.sub("", text.strip().lower())
        if not _ID.fullmatch(wanted):
            raise RecordNotFound(f"{text!r} is no id: give a task's UUID, an x-request-id or a trace id.")
        told = " OR ".join(f"""instr(span, '"{name}": "' || :id) > 0""" for name in _NAMING)
        found = f"SELECT trace_id FROM spans WHERE instr(trace_id, replace(:id, '-', '')) = 1 OR {told}"  # noqa: S608
        with self._reading() as conn:
            row = conn.execute(f"{found} ORDER BY seq DESC LIMIT 1", {"id": wanted}).fetchone()
        if row is None:
            raise RecordNotFound(
                f"No trace is kept of {text}. A trace begins with a request to the gateway of a running `facet up`."
            )
        return str(row[0])

    def flush(self) -> None:
        """Return when all that was added is on disk, or after 5 s."""
        if self._writer and self._writer.is_alive():
            written = threading.Event()
            self._changes.put(written)
            written.wait(_PATIENCE)

    def close(self) -> None:
        """Write what is left; nothing is kept from now on."""
        if self._writer:
            self._changes.put(None)
            self._writer.join(_PATIENCE)

    def _records(self, where: str, values: dict[str, Any]) -> list[Record]:
        with self._reading() as conn:
            rows = conn.execute(f"SELECT {', '.join(_COLUMNS)} FROM invocations WHERE {where}", values)  # noqa: S608
            found = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        return [Record(**{**values, "whole": bool(values["whole"])}) for values in found]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self.flush()
        place = f"file:{quote(str(self._path))}?mode=ro" if self._path.exists() else ":memory:"
        try:
            with contextlib.ExitStack() as opened:
                conn = opened.enter_context(contextlib.closing(sqlite3.connect(place, uri=True, timeout=_PATIENCE)))
                if conn.execute("PRAGMA user_version").fetchone() == (
                    0,
                ):  # no file, or its writer is about to begin it
                    conn = opened.enter_context(contextlib.closing(sqlite3.connect(":memory:")))
                    conn.executescript(_SCHEMA)
                yield conn
        except sqlite3.Error as exc:
            raise RecordsUnreadable(f"{self._path} cannot be read: {exc}. `facet up` begins it anew.") from exc

    # ---- the one thread that writes -----------------------------------------------------------------------------

    def _put(self, change: Change, size: int) -> None:
        with self._lock:
            if self._waiting + size > self._bytes:  # the disk is slower than the functions
                return
            self._waiting += size
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="records", daemon=True)
                self._writer.start()
        self._changes.put((change, size))

    def _write(self) -> None:
        conn: sqlite3.Connection | None = None
        ended = False
        while not ended:
            batch = [self._changes.get()]
            if isinstance(batch[0], tuple):
                time.sleep(_PAUSE)  # one commit for many: this thread shares the interpreter with the event loop
            while len(batch) < _BATCH and not self._changes.empty():
                batch.append(self._changes.get())
            changes = [item for item in batch if isinstance(item, tuple)]
            try:
                conn = self._changed(conn, [change for change, _ in changes])
            except (sqlite3.Error, OSError, ValueError, LookupError, TypeError) as exc:
                self._lost(conn, exc)
                conn = None
            with self._lock:
                self._waiting -= sum(size for _, size in changes)
            for item in batch:
                if isinstance(item, threading.Event):
                    item.set()
            ended = None in batch
        if conn:
            conn.close()

    def _changed(self, conn: sqlite3.Connection | None, changes: Sequence[Change]) -> sqlite3.Connection | None:
        if not changes:
            return conn
        conn = conn or self._open()
        for change in changes:
            change(conn)
        conn.execute(_CUT, {"cut": _CUT_BYTES, "bytes": self._bytes // 2})
        conn.execute(f"DELETE FROM invocations WHERE seq IN ({_BEYOND})", (self._bytes,))  # noqa: S608
        for table, most in (("invocations", self._capacity), ("spans", self._capacity * _SPANS_PER_RECORD)):
            conn.execute(f"DELETE FROM {table} WHERE seq <= (SELECT max(seq) FROM {table}) - ?", (most,))  # noqa: S608
        conn.commit()
        return conn

    def _open(self) -> sqlite3.Connection:
        """The file, made anew where it is damaged or another version of this program wrote it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(2):
            self._path.touch(mode=0o600)  # it holds what people sent, passwords too
            conn = sqlite3.connect(self._path, timeout=_PATIENCE)
            try:
                if self._path.stat().st_size == 0:
                    conn.executescript(f"PRAGMA journal_mode = WAL; BEGIN; {_SCHEMA} COMMIT;")
                conn.execute("PRAGMA synchronous = NORMAL")
                asked = [conn.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "quick_check(1)")]
                if asked == [_VERSION, "ok"]:
                    return conn
            except sqlite3.OperationalError:
                conn.close()
                raise
            except sqlite3.DatabaseError:
                pass
            conn.close()
            self._remove()
        raise sqlite3.OperationalError("it was damaged and could not be made anew")

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _lost(self, conn: sqlite3.Connection | None, cause: Exception) -> None:
        """What could not be written is forgotten; later records are tried anew with a new connection."""
        if conn:
            with contextlib.suppress(sqlite3.Error):
                conn.close()
        if not self._complained:
            self._report(f"records: {self._path} cannot be written ({cause}), so invocations are not recorded")
            self._complained = True


def _insert(conn: sqlite3.Connection, invocation: Invocation, environment: str) -> None:
    record = Record.of(invocation, environment)
    size = len(record.event) + len(record.payload) + len(record.log)
    conn.execute(_INSERT, (size, *(getattr(record, name) for name in _COLUMNS)))


def _erase(conn: sqlite3.Connection) -> None:
    """Deleted rows would stay readable in the file's free pages and in its log."""
    conn.execute("DELETE FROM invocations")
    conn.execute("DELETE FROM spans")
    conn.commit()
    conn.execute("VACUUM")
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
