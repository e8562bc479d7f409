"""Log lines: one JSON object each, with the request they belong to and without secrets."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from facet import log

pytestmark = pytest.mark.usefixtures("bare_environment")

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"


def logged(capsys: pytest.CaptureFixture[str], message: str, *values: Any, **extra: Any) -> dict[str, Any]:
    with log.context(function="example", request_id="r-7"):
        log.get().warning(message, *values, extra=extra)
    [line] = capsys.readouterr().out.splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


def test_a_line_says_when_what_and_for_which_request(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, "%s photos", 3, task=7)
    assert line.pop("ts").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "message": "3 photos",
        "function": "example",
        "request_id": "r-7",
        "task": 7,
    }


def test_a_line_is_one_line_of_ascii_whatever_is_in_it() -> None:
    record = logging.makeLogRecord({"msg": 'a\nb "ü" \ud800', "field": "d\r\ne"})
    line = log.line(record)
    assert line.isascii()
    assert "\n" not in line
    assert (json.loads(line)["message"], json.loads(line)["field"]) == (record.msg, "d\r\ne")


SECRET_NAMES = [
    *["password", "new_password", "access-token", "access_token", "refresh-token", "SECRET_KEY", "Authorization"],
    *["x-api-key", "key", "cookie", "signature", "X-Amz-Signature", "X-Amz-Credential"],
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_is_known_by_its_name(capsys: pytest.CaptureFixture[str], name: str) -> None:
    line = logged(capsys, "x", **{name: "s3cret", "inside": {"a": [{name: "s3cret"}]}, "list": {name: ["s3cret"]}})
    assert "s3cret" not in json.dumps(line)


def test_numbers_and_object_keys_are_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, "x", api_key_id=3, object_key="a/b.glb", routing_key="q", tokens=2, monkey="x")
    assert (line["api_key_id"], line["object_key"], line["routing_key"], line["tokens"], line["monkey"]) == (
        3,
        "a/b.glb",
        "q",
        2,
        "x",
    )


@pytest.mark.parametrize(
    "text",
    [
        f"the token {JWT} is bad",
        "GET http://s3/a?X-Amz-Signature=s3cret&X-Amz-Credential=s3cret",
        "Authorization: Bearer s3cret",
        "postgresql://app:s3cret@localhost/app",
        'the hash "$argon2id$v=19$m=19456,t=2,p=1$s3cret$s3cret" is stored',
        "new row violates a check\nDETAIL:  Failing row contains (7, s3cret).",
        "1 validation error [type=string_type, input_value='s3cret, s3cret', input_type=str]",
    ],
)
def test_a_secret_is_known_by_how_it_looks(capsys: pytest.CaptureFixture[str], text: str) -> None:
    line = logged(capsys, "failed: %s", text, reason=text)
    assert "s3cret" not in json.dumps(line)
    assert JWT not in json.dumps(line)
    assert "[redacted]" in line["message"]


def test_bytes_are_counted_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(capsys, "x", body=b"s3cret")["body"] == "[6 bytes]"


def test_a_value_json_does_not_know_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(capsys, "x", kind=ValueError)["kind"] == "<class 'ValueError'>"


def test_a_field_cannot_pose_as_another_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert logged(capsys, "x", request_id="other", level="DEBUG", ts="never")["request_id"] == "r-7"


def test_an_exception_is_logged_with_its_traceback_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(f"bad token {JWT}")
    except ValueError:
        with log.context():
            log.get().exception("failed")
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["error"], line["level"]) == ("ValueError", "ERROR")
    assert "bad token [redacted]" in line["traceback"]


def test_other_libraries_speak_only_when_something_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with log.context(function="example"):
        logging.getLogger("library").info("connecting")
        logging.getLogger("library").warning("lost")
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["logger"], line["function"]) == ("library", "example")


def test_contexts_nest_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    with log.context(function="example"):
        with log.context(trace_id="t"):
            log.get().warning("inner")
        log.get().warning("outer")
    log.get().warning("outside")
    inner, outer, outside = map(json.loads, capsys.readouterr().out.splitlines())
    assert (inner["function"], inner["trace_id"]) == ("example", "t")
    assert "trace_id" not in outer
    assert "function" not in outside


@pytest.mark.parametrize("text", [None, 7, "", "00-x-y-z", "00-" + "0" * 32 + "-1-01\n"])
def test_what_is_no_traceparent_is_no_trace(text: object) -> None:
    assert log.trace(text) == {}


def test_the_cause_of_an_error_is_told_where_it_has_one() -> None:
    error = ValueError("the outcome")
    assert log.cause(error) == {}
    error.__cause__ = OSError("the origin")
    assert log.cause(error) == {"cause": "OSError('the origin')"}


@pytest.mark.parametrize(("level", "count"), [("INFO", 2), ("ERROR", 1)])
def test_the_level_is_a_setting(level: str, count: int) -> None:
    program = (
        "from facet import log\nwith log.context():\n log.get().info('a')\n log.get().error('b')\n log.get().debug('c')"
    )
    path = ":".join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program], env={"LOG_LEVEL": level, "PYTHONPATH": path}, capture_output=True, check=True
    )
    assert len(done.stdout.splitlines()) == count
    assert done.stderr == b""


def test_importing_the_layer_touches_nothing() -> None:
    program = (
        "import os, logging; before = dict(os.environ)\n"
        "import facet.function, facet.auth\n"
        "app = facet.function.Function('example')\n"
        "assert dict(os.environ) == before, 'environment'\n"
        "assert not logging.getLogger().handlers, 'logging'"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "POSTGRES_PORT": "not a port"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_a_line_is_printed_once_under_the_local_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    """Its plain handler would print everything a second time, and unredacted."""
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [logging.StreamHandler(sys.stdout)]
    try:
        log._configure()
        log.get().error("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl")
    finally:
        root.handlers[:] = before
    (line,) = capsys.readouterr().out.splitlines()
    assert "eyJ" not in line
