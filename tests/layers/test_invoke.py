"""`python -m facet.invoke` calls a function once and says what came of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layers import serving
from tests.layers.serving import settings, started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.project(tmp_path_factory.mktemp("project"))


def test_the_result_alone_goes_to_stdout(folder: Path) -> None:
    ended = started(folder, "facet.invoke", "add", '{"one": 1, "other": 2}')
    assert (ended.returncode, json.loads(ended.stdout)) == (0, {"sum": 3, "word": "fünf"})
    assert "adding" in ended.stderr


def test_the_event_may_come_by_stdin(folder: Path) -> None:
    command = [sys.executable, "-m", "facet.invoke", "add", "-"]
    given = json.dumps({"one": 40}).encode()
    ended = subprocess.run(command, cwd=folder, env=settings(folder), input=given, capture_output=True, check=True)
    assert json.loads(ended.stdout)["sum"] == 40


def test_a_schedule_is_due_now(folder: Path) -> None:
    ended = started(folder, "facet.invoke", "tick", "--scheduled")
    assert (ended.returncode, ended.stdout) == (0, "null\n")
    line = json.loads(ended.stderr)
    assert line["message"].startswith("tick at 20")
    assert line["function"] == "tick"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "{"], "the event is no JSON"),
        (["add", "[]"], "the event has to be a JSON object"),
        (["add"], "event.one: Field required"),
        (["add", '{"one": "x"}'], "event.one: Input should be a valid integer"),
        (["nobody"], "There is no function nobody. There are: add, eat, echo, gate, tick."),
        (["eat", "{}"], "python -m facet.consume eat"),
        (["echo"], "python -m facet.serve echo"),
        (["tick"], "add --scheduled"),
        (["add", "--scheduled"], "leave out --scheduled"),
        (["tick", '{"a": 1}', "--scheduled"], "leave out the JSON"),
    ],
)
def test_a_wrong_call_is_told_in_a_line_and_ends_with_2(folder: Path, arguments: list[str], said: str) -> None:
    ended = started(folder, "facet.invoke", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"facet.invoke: {arguments[0]}: ")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_failure_ends_with_1_and_shows_no_secret(folder: Path) -> None:
    ended = started(folder, "facet.invoke", "add", '{"one": -1}')
    assert (ended.returncode, ended.stdout) == (1, "")
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("facet.invoke: add failed: RuntimeError: ")
    assert "me:hunter2" not in ended.stderr


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        ({"LOG_LEVEL": "LOUD"}, 1, "LOG_LEVEL: Input should be"),
        ({"FACET_TIMEOUT": "soon"}, 2, "FACET_TIMEOUT is 'soon', and has to be a number from 0.1 to 86400."),
    ],
)
def test_a_setting_that_cannot_be_used_is_told(folder: Path, environment: dict[str, str], code: int, said: str) -> None:
    ended = started(folder, "facet.invoke", "add", '{"one": 1}', **environment)
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
