"""A function's log is what Lambda prints, of bounded size, and never in the way."""

from pathlib import Path

from local.logs import FunctionLog


def test_texts_become_whole_lines(tmp_path: Path) -> None:
    log = FunctionLog(tmp_path / "new" / "f.log")
    log.write("one\ntwo\n")
    log.write("three \ud800")
    log.close()
    assert (tmp_path / "new" / "f.log").read_text() == "one\ntwo\nthree \\ud800\n"


def test_a_full_log_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    log = FunctionLog(tmp_path / "f.log", limit=100)
    for number in range(10):
        log.write(f"{number}{'x' * 38}")
    log.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["f.log", "f.log.1"]
    assert [line[0] for line in (tmp_path / "f.log").read_text().splitlines()] == ["8", "9"]
    assert [line[0] for line in (tmp_path / "f.log.1").read_text().splitlines()] == ["6", "7"]


def test_a_line_over_the_limit_is_written_once(tmp_path: Path) -> None:
    log = FunctionLog(tmp_path / "f.log", limit=10)
    log.write("x" * 50)
    log.write("y" * 50)
    log.close()
    assert (tmp_path / "f.log").read_text() == "y" * 50 + "\n"


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for text in ("before", "after"):
        log = FunctionLog(tmp_path / "f.log")
        log.write(text)
        log.close()
    assert (tmp_path / "f.log").read_text() == "before\nafter\n"


def test_a_log_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "f.log").mkdir()
    log = FunctionLog(tmp_path / "f.log")
    log.write("lost")
    log.close()
    assert not any((tmp_path / "f.log").iterdir())
