"""Batches in turns: all get theirs, none stands in the way of another, and the time of a function is kept."""

from types import SimpleNamespace

import pytest

from facet import db, turns
from tests.conftest import Settings


def counting(done: list[str], name: str, times: int) -> turns.Batch:
    """A batch with work for so many turns."""

    def batch() -> bool:
        done.append(name)
        return done.count(name) < times

    return batch


def test_each_gets_its_turn_until_nothing_is_left() -> None:
    done: list[str] = []
    turns.take({"a": counting(done, "a", 3), "b": counting(done, "b", 1), "c": counting(done, "c", 2)}, seconds=60)
    assert done == ["a", "b", "c", "a", "c", "a"]


def test_one_that_fails_is_logged_and_gets_no_further_turn(
    environment: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def broken() -> bool:
        done.append("broken")
        raise ValueError("it does not work")

    turns.take({"broken": broken, "a": counting(done, "a", 2)}, seconds=60)
    assert done == ["broken", "a", "a"]
    [line] = caplog.records
    assert line.getMessage() == "left for the next time"
    assert vars(line)["cause"] == "ValueError('it does not work')"


def test_no_batch_begins_when_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    clock = SimpleNamespace(monotonic=iter([0.0, 1.0, 2.0, 31.0]).__next__)
    monkeypatch.setattr(turns, "time", clock)
    turns.take({"endless": counting(done, "endless", 99)}, seconds=30)
    assert done == ["endless"] * 2


def test_a_batch_is_one_transaction_and_has_more_when_it_was_full(environment: Settings) -> None:
    seen = []

    def step(conn: db.Connection, *, limit: int, word: str) -> int:
        row = conn.execute("SELECT pg_current_xact_id() AS transaction").fetchone()
        assert row is not None
        seen.append((row["transaction"], limit, word))
        return 3

    assert turns.batch(step, limit=3, word="full")() is True
    assert turns.batch(step, limit=4, word="not")() is False
    assert [rest for _, *rest in seen] == [[3, "full"], [4, "not"]]
    assert seen[0][0] != seen[1][0]
