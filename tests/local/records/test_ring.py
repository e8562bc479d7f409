"""The ring keeps the last invocations on disk, bounded, private, and never in the way of a function."""

import json
import multiprocessing
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.invocation import Invocation
from local.records.ring import RecordNotFound, RecordsUnreadable, Ring
from local.sandbox.report import Report


def done(request_id: str = "r-1", function: str = "echo", *, status: str = "success", **fields: Any) -> Invocation:
    """A finished invocation."""
    report = Report(request_id, 12.5, 256, 40, status=status, error_type=None if status == "success" else "ValueError")
    error = None if status == "success" else "Unhandled"
    known = {"event": b'{"a":1}', "source": "http", "started": time.time(), "trace": "Root=1-0000abcd-" + "e" * 24}
    payload = fields.pop("payload", b'{"statusCode": 200, "body": "{\\"statusCode\\": 500}"}')
    return replace(Invocation(request_id, function, payload, error, "START\nEND\n", report), **{**known, **fields})


def span(trace: str, start: float | None = None, **fields: Any) -> dict[str, Any]:
    return {"trace_id": trace, "span_id": "0" * 16, "start": time.time() if start is None else start, **fields}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records" / "ring.db"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ring(path: Path, said: list[str]) -> Iterator[Ring]:
    ring = Ring(path, capacity=5, megabytes=1, report=said.append)
    yield ring
    ring.close()


def ids(ring: Ring) -> list[str]:
    return [record.request_id for record in ring.latest(100)]


def test_what_was_added_is_found_with_all_that_a_replay_needs(ring: Ring) -> None:
    ring.add(done("abc-1", started=1000.5), "settings")
    found = ring.find("abc")
    assert (found.function, found.source, found.started, found.event) == ("echo", "http", 1000.5, b'{"a":1}')
    assert (found.status, found.http_status, found.duration_ms, found.init_ms) == ("success", 200, 12.5, None)
    assert (found.trace_id, found.environment, found.whole) == ("0000abcd" + "e" * 24, "settings", True)
    assert found.report.startswith("REPORT RequestId: abc-1")


def test_a_record_is_named_by_the_beginning_of_its_id_if_that_is_one(ring: Ring) -> None:
    ring.add(done("abc-1"))
    ring.add(done("abd-1"))
    assert ring.find("abd").request_id == "abd-1"
    with pytest.raises(RecordNotFound, match="2 records begin with ab"):
        ring.find("ab")
    with pytest.raises(RecordNotFound, match="No record begins with a%"):
        ring.find("a%")


def test_the_oldest_go_first(ring: Ring) -> None:
    for number in range(8):
        ring.add(done(f"r-{number}"))
    assert ids(ring) == ["r-7", "r-6", "r-5", "r-4", "r-3"]


def test_large_bodies_are_cut_before_records_go(ring: Ring) -> None:
    ring.add(done("small"))
    for number in range(4):
        ring.add(done(f"photo-{number}", event=b"x" * 300_000))
        ring.flush()
    records = {record.request_id: record for record in ring.latest(100)}
    assert [(name, record.whole) for name, record in records.items()] == [
        ("photo-3", True),
        ("photo-2", False),
        ("photo-1", False),
        ("photo-0", False),
        ("small", True),
    ]
    assert len(records["photo-0"].event) == 16_384


def test_bytes_are_bounded(path: Path, said: list[str]) -> None:
    ring = Ring(path, capacity=1000, megabytes=1, report=said.append)
    for number in range(100):
        ring.add(done(f"r-{number}", event=b"x" * 30_000, payload=b"y" * 15_000))
        ring.flush()
    records = ring.latest(1000)
    ring.close()
    assert records[0].request_id == "r-99"
    assert 15 < len(records) < 40
    assert sum(len(record.event) + len(record.payload) for record in records) <= 1_000_000


def test_records_are_picked_by_function_and_by_failure(ring: Ring) -> None:
    ring.add(done("good"))
    ring.add(done("other", "slow"))
    ring.add(done("bad", status="timeout"))
    ring.add(done("refused", payload=b'{"statusCode": 422}'))
    assert [record.request_id for record in ring.latest(9, errors=True)] == ["refused", "bad"]
    assert [record.request_id for record in ring.latest(9, "slow")] == ["other"]
    assert [record.request_id for record in ring.latest(1)] == ["refused"]


def test_spans_come_back_as_the_trace_they_make(ring: Ring) -> None:
    ring.spans([span("aa" * 16, 2.0, name="second"), span("bb" * 16, 1.0, name="other")])
    ring.spans([span("aa" * 16, 1.0, name="first"), span("aa" * 16, 3.0, attributes={"big": "x" * 70_000})])
    assert [each["name"] for each in ring.trace("aa" * 16)] == ["first", "second"]
    assert [each["name"] for each in ring.trace("bb")] == ["other"]
    assert ring.trace("cc") == []


def test_cleared_records_leave_nothing_in_any_file(ring: Ring, path: Path) -> None:
    running = done("late", started=time.time() - 1, event=b"secret-late")
    for number in range(20):
        ring.add(done(f"r-{number}", event=b"secret-photo" * 5000))
    ring.spans([span("aa" * 16, name="secret-span")])
    ring.flush()
    ring.clear()
    ring.add(running)
    ring.spans([span("aa" * 16, start=time.time() - 1, name="secret-span")])
    ring.flush()
    files = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert [file.name for file, content in files.items() if b"secret" in content] == []
    assert (ids(ring), ring.trace("aa" * 16)) == ([], [])
    ring.add(done("next"))
    assert ids(ring) == ["next"]


def test_only_its_user_can_read_it(ring: Ring, path: Path) -> None:
    ring.add(done())
    ring.flush()
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in [path.parent, *path.parent.iterdir()]}
    assert modes == {"records": 0o700, "ring.db": 0o600, "ring.db-wal": 0o600, "ring.db-shm": 0o600}


def _read(path: Path, found: Any) -> None:
    found.put([record.request_id for record in Ring(path).latest(10)])


def test_another_process_reads_while_it_is_written_and_after(ring: Ring, path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    for name in ("while", "after"):
        ring.add(done(name))
        ring.flush() if name == "while" else ring.close()
        reader = context.Process(target=_read, args=(path, found))
        reader.start()
        assert name in found.get(timeout=60)
        reader.join()


def test_there_are_no_records_before_the_first(path: Path) -> None:
    ring = Ring(path)
    assert (ring.latest(10), ring.trace("aa")) == ([], [])
    with pytest.raises(RecordNotFound):
        ring.find("a")
    ring.clear()
    ring.close()
    assert not path.exists()


def test_a_file_that_is_just_being_made_has_no_records(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert Ring(path).latest(10) == []


def test_records_stay_when_the_ring_is_opened_again(path: Path) -> None:
    for name in ("first", "second"):
        ring = Ring(path)
        ring.add(done(name))
        ring.close()
    assert ids(Ring(path)) == ["second", "first"]


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\x00" + b"\xff" * 9000])
def test_a_damaged_file_is_begun_anew(ring: Ring, path: Path, said: list[str], content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(RecordsUnreadable, match="`facet up` begins it anew"):
        ring.latest(1)
    ring.add(done("new"))
    assert (ids(ring), said) == (["new"], [])


def test_a_place_that_cannot_be_written_loses_records_and_says_so_once(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").touch()
    ring = Ring(tmp_path / "file" / "ring.db", report=said.append)
    for number in range(3):
        ring.add(done(f"r-{number}"))
        ring.flush()
    ring.close()
    assert len(said) == 1
    assert "so invocations are not recorded" in said[0]


def test_a_disk_that_lags_behind_loses_records_rather_than_memory(ring: Ring) -> None:
    ring.add(done("first"))
    ring.flush()
    ring.add(done("too much", event=b"x" * 1_000_001))
    assert ids(ring) == ["first"]


def test_what_is_not_utf_8_is_kept_byte_for_byte(ring: Ring) -> None:
    ring.add(done(event=b"\xff\x00{", payload=json.dumps("\ud800").encode(), log="odd \udcff\n"))
    found = ring.find("r-1")
    assert (found.event, found.payload, found.log) == (b"\xff\x00{", b'"\\ud800"', "odd \\udcff\n")
