"""`facet records`, `show`, `replay` and `save` on a running project."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from local.cloud.control import Client
from tests.local.records.conftest import Project
from tests.stacks import PROJECT, until

GREETING = {"json": {"name": "Ada"}}


@pytest.fixture
def greeting(sample: Project) -> str:
    """The id of a greeting that began and ended within one second of the clock."""

    def within_one_second() -> str | None:
        request_id = sample.ask("POST", "/greet", **GREETING)
        shown = sample.json("show", request_id)
        return request_id if json.loads(shown["answer"]["body"])["at"] == int(shown["began"]) else None

    return until(within_one_second, within=30, what="a greeting within one second")


def pytest_in(sample: Project, test: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(sample.folder),
        str(test),
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, cwd=sample.folder, env=environment, capture_output=True, text=True, timeout=60)


def test_records_are_listed_with_how_they_ended(sample: Project, greeting: str) -> None:
    failed = sample.ask("GET", "/fail", headers={"access-token": "x"})
    refused = sample.ask("DELETE", "/account")
    lines = [line.split() for line in sample.facet("records", "-n", "3").output.splitlines()]
    assert [line[1:5] for line in lines] == [
        [greeting[:8], "greet", "http", "200"],
        [failed[:8], "fail", "http", "ValueError"],
        [refused[:8], "erase", "http", "401"],
    ]
    assert [each["request_id"] for each in sample.json("records", "--errors", "-n", "2")] == [failed, refused]
    assert [each["request_id"] for each in sample.json("records", "greet", "-n", "1")] == [greeting]


def test_a_record_is_shown_with_event_answer_and_log(sample: Project, greeting: str) -> None:
    shown = sample.facet("show", greeting[:8]).output
    assert greeting in shown
    assert '"rawPath": "/greet"' in shown
    assert "hello Ada" in shown
    assert f"END RequestId: {greeting}" in shown
    assert sample.json("show", greeting)["event"]["requestContext"]["http"]["method"] == "POST"


def test_a_replay_at_the_recorded_time_is_equal_byte_for_byte_and_no_record(sample: Project, greeting: str) -> None:
    until(lambda: time.time() > sample.json("show", greeting)["began"] + 1, within=20, what="another second")
    replayed = sample.facet("replay", greeting[:8])
    assert (replayed.exit_code, "byte for byte" in replayed.stderr) == (0, True)
    assert "hello Ada" in replayed.stdout
    assert sample.json("replay", greeting, "--until-fails", "2")["same"] is True
    assert sample.json("records", "-n", "1")[0]["request_id"] == greeting


def test_a_replay_now_tells_what_differs(sample: Project, greeting: str) -> None:
    began = int(sample.json("show", greeting)["began"])
    until(lambda: int(time.time()) > began, within=20, what="another second")
    replayed = sample.facet("replay", greeting, "--keep-clock")
    assert replayed.exit_code == 1
    assert f'-    "at": {began}' in replayed.stderr
    assert '"text"' not in [line for line in replayed.stderr.splitlines() if line.startswith(("+", "-"))]


def test_repeats_stop_at_the_first_that_differs(
    sample: Project, greeting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[dict[str, Any]] = [
        {"same": same, "payload": payload, "recorded": "1", "settings_changed": True, "log": ""}
        for same, payload in [(True, "1"), (False, "2"), (True, "1")]
    ]
    monkeypatch.setattr(Client, "call", lambda self, verb, **arguments: answers.pop(0))
    replayed = sample.facet("replay", greeting, "--until-fails", "9")
    assert (replayed.exit_code, len(answers)) == (1, 1)
    assert "differs from the recorded one, the 2. time.\nThe settings of the function have changed" in replayed.stderr
    assert "-1\n+2" in replayed.stderr


def test_what_cannot_be_replayed_is_neither_equal_nor_different(
    sample: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = sample.facet("replay", "no-such-id")
    assert (unknown.exit_code, "`facet records` lists those" in unknown.stderr) == (2, True)
    monkeypatch.setenv("FACET_STATE", str(sample.folder / "another"))
    down = sample.facet("replay", "any")
    assert (down.exit_code, "Start it with `facet up`" in down.stderr) == (2, True)


def test_a_saved_record_is_a_test_that_notices_a_change(sample: Project, greeting: str) -> None:
    test = sample.folder / "tests" / "recorded" / f"test_greet_{greeting[:8]}.py"
    assert f"Run it: pytest {test}" in sample.facet("save", greeting).output
    checked = pytest_in(sample, test)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    word = sample.folder / "src" / "word"
    word.write_text("goodbye")
    try:
        broken = pytest_in(sample, test)
    finally:
        word.write_text("hello")
    assert (broken.returncode, "goodbye Ada" in broken.stdout) == (1, True), broken.stdout + broken.stderr
    again = sample.facet("save", greeting)
    assert (again.exit_code, "was left alone" in again.output) == (1, True)


def test_a_failure_is_saved_as_a_test_that_it_is_mended(sample: Project, tmp_path: Path) -> None:
    failed = sample.ask("GET", "/fail", headers={"accept": "x"})
    saved = sample.facet("save", failed, "--to", str(tmp_path))
    (test,) = tmp_path.glob("test_fail_*.py")
    assert "def test_fail_does_not_fail(local: Local) -> None:" in test.read_text()
    assert saved.exit_code == 0
    assert "KeyError" in pytest_in(sample, test).stdout


def test_a_saved_event_has_no_secrets_and_says_what_to_fill_in(sample: Project, tmp_path: Path) -> None:
    headers = {"access-token": "t0ken-of-ada", "x-database-password": "pa55-of-ada", "cookie": "id=c00kie"}
    signed_in = sample.ask("POST", "/sign-in", headers=headers, json={"password": "hunter2", "pin": "1234"})
    test = tmp_path / "test_sign_in.py"
    said = sample.facet("save", signed_in, "--to", str(test)).output
    fields = ["headers.access-token", "headers.x-database-password", "cookies.0", "body", "body 2"]
    placeholders = [f"{{{{{field}}}}}" for field in fields]
    assert [line.split("fill in ")[1].split(":")[0] for line in said.splitlines()[1:-1]] == placeholders
    event = test.with_suffix(".json").read_text()
    assert not any(secret in event + test.read_text() for secret in ("t0ken", "c00kie", "hunter2", "1234"))
    assert "is a secret of the event: fill it in above" in pytest_in(sample, test).stdout
    test.write_text(test.read_text().replace('": "",', '": "filled in",'))
    assert "1 passed" in (checked := pytest_in(sample, test)).stdout, checked.stdout


def test_after_an_erasure_nothing_is_left_of_anybody(sample: Project) -> None:
    headers = {"access-token": "t0ken-of-bob", "x-database-password": "pa55-of-bob"}
    sample.ask("POST", "/sign-in", headers=headers, json={"password": "hunter2-of-bob"})
    sample.ask("DELETE", "/account")
    state = Path(os.environ["FACET_STATE"])

    def mention() -> list[str]:
        return [file.name for file in state.rglob("*") if file.is_file() and b"-of-bob" in file.read_bytes()]

    assert "sign_in.log" in mention()
    assert sample.http.delete("/account?sure").status_code == 204
    until(lambda: not mention(), within=20, what="nothing mentions bob")
    assert sample.json("records") == []
    assert "Nothing is recorded yet" in sample.facet("records").output
