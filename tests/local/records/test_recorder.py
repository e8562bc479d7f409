"""What is recorded, where nothing is, and which records can be replayed."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from local.cloud.parts import PARTS
from local.cloud.project import Project
from local.cloud.state import State
from local.cloud.up import Options, Stack
from local.invoker import Invoker
from local.records.record import Record
from local.records.recorder import Recorder, is_on
from local.records.replay import CannotReplay, replay
from local.records.ring import Ring
from local.template.spec import FunctionSpec
from tests.local.records.test_ring import done


def spec(**fields: Any) -> FunctionSpec:
    return FunctionSpec("echo", "Echo", "app.echo", "app", Path(), **fields)


@pytest.mark.parametrize(
    ("setting", "whole", "on"),
    [("", True, True), ("", False, False), ("off", True, False), ("ON", False, True), ("perhaps", False, False)],
)
def test_the_setting_decides_and_else_whether_all_runs_here(setting: str, whole: bool, on: bool) -> None:
    assert is_on(setting, whole=whole) is on


@pytest.mark.parametrize(("parts", "kept"), [(PARTS, True), (["functions"], False), (["triggers"], False)])
def test_functions_that_run_alone_leave_no_records(tmp_path: Path, parts: list[str], kept: bool) -> None:
    stack = Stack(Project(tmp_path, tmp_path), State.open(tmp_path, tmp_path), Options(parts=frozenset(parts)), print)
    assert (stack._start_recorder() is not None) is kept


def test_a_fingerprint_tells_other_settings_but_not_which(tmp_path: Path) -> None:
    recorder = Recorder(Ring(tmp_path / "ring.db"), dict, logs=tmp_path)
    before, same = spec(environment={"A": "hunter2", "B": "2"}), spec(environment={"B": "2", "A": "hunter2"})
    assert recorder.fingerprint(before) == recorder.fingerprint(same) != recorder.fingerprint(spec())
    assert "hunter2" not in recorder.fingerprint(before)


@pytest.mark.parametrize(
    ("answer", "cleared"),
    [
        ({"payload": b"null"}, True),
        ({"payload": b'{"statusCode": 204}'}, True),
        ({"payload": b'{"statusCode": 401}'}, False),
        ({"status": "error"}, False),
    ],
)
def test_only_an_erasure_that_succeeded_clears(tmp_path: Path, answer: dict[str, Any], cleared: bool) -> None:
    functions = {"echo": spec(), "erase": replace(spec(clears_records=True), name="erase")}
    (tmp_path / "echo.log").write_text("printed")
    (tmp_path / "echo.log.1").write_text("printed before")
    recorder = Recorder(Ring(tmp_path / "ring.db"), lambda: functions, logs=tmp_path)
    recorder(done("before"))
    recorder(done("erasure", "erase", **answer))
    kept = [record.request_id for record in recorder.ring.latest(9)]
    recorder.ring.close()
    assert kept == ([] if cleared else ["erasure", "before"])
    assert ((tmp_path / "echo.log").stat().st_size == 0, (tmp_path / "echo.log.1").exists()) == (cleared, not cleared)


def test_a_repetition_is_no_record(tmp_path: Path) -> None:
    recorder = Recorder(Ring(tmp_path / "ring.db"), lambda: {"echo": spec()}, logs=tmp_path)
    recorder(done("again", source="replay"))
    recorder.ring.close()
    assert recorder.ring.latest(1) == []


def test_what_was_cut_cannot_be_replayed(tmp_path: Path) -> None:
    recorder = Recorder(Ring(tmp_path / "ring.db"), dict, logs=tmp_path)
    record = replace(Record.of(done("big"), ""), whole=False)
    with pytest.raises(CannotReplay, match=r"was cut to make room.*Send the request again"):
        asyncio.run(replay(recorder, cast(Invoker, None), record, keep_clock=False, debug_port=None))
