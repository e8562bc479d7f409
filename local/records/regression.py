"""Makes a test of a record: a pytest file that calls the handler, with servers of its own, and the event as JSON."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.records.record import Record
from local.records.redact import redacted

_MARK = re.compile(r"\[redacted\]|\[(?:base64, )?[\d,]+ bytes\]")
_FAILED_FROM = 500

_TEST = '''"""What {function} made of an event of {date:%Y-%m-%d}; from `facet save {id}`."""

import json
from pathlib import Path

import pytest
import time_machine

from local.records.redact import redacted
from local.testing import Local

TEMPLATE = {template}
EVENT = Path(__file__).with_suffix(".json")
RECORDED_AT = {began}  # the clock stands still there
{expected}

@pytest.fixture(scope="session")
def facet_template() -> Path:
    return TEMPLATE
{fixture}

def test_{function}_{verb}(local: Local{argument}) -> None:
    text = EVENT.read_text(encoding="utf-8")
{fill}    with time_machine.travel(RECORDED_AT, tick=False):
        done = local.invoke({name}, json.loads(text))
    assert done.function_error is None, done.payload.decode()
    answer = json.loads(done.payload)
{asserts}
'''

_FIXTURE = '''

@pytest.fixture
def secrets() -> dict[str, str]:
    """What was left out of the event. Fill it in, or make it here; while one is empty the test fails."""
    return {
%s
    }
'''

_FILL = """    for placeholder, secret in secrets.items():
        assert secret, f"{placeholder} is a secret of the event: fill it in above"
        text = text.replace(placeholder, json.dumps(secret)[1:-1])
"""


class CannotSave(Exception):
    """The record makes no test; the text says why."""


def save(record: Record, test: Path, template: Path) -> list[str]:
    """Writes both files; the placeholders of the secrets in the event. Raises CannotSave."""
    beside = test.with_suffix(".json")
    for file in (test, beside):
        if file.exists():
            raise CannotSave(f"{file} is there already and was left alone. Give another place with --to.")
    if not record.whole:
        raise CannotSave(f"{record.request_id} was cut to make room: only the beginning of its event is kept.")
    try:
        event = json.loads(record.event)
    except ValueError as exc:
        raise CannotSave(f"The event of {record.request_id} is no JSON: {exc}") from exc
    placeholders: list[str] = []
    event = _marked(event, redacted(event), "", placeholders)
    test.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(json.dumps(event, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    test.write_text(_test(record, placeholders, _relative(template, test)), encoding="utf-8")
    return placeholders


def _marked(given: Any, clean: Any, path: str, found: list[str]) -> Any:
    """The redacted event with a placeholder, named by its place, for each secret."""
    if isinstance(given, dict) and isinstance(clean, dict):
        return {key: _marked(part, clean[key], f"{path}.{key}".strip("."), found) for key, part in given.items()}
    if isinstance(given, list) and isinstance(clean, list):
        both = zip(given, clean, strict=True)
        return [_marked(part, other, f"{path}.{at}".strip("."), found) for at, (part, other) in enumerate(both)]
    if given == clean:
        return given
    if not isinstance(clean, str) or not _MARK.search(clean) or not isinstance(given, str):
        return _placeholder(path, found)  # inside base64, or no text
    return _MARK.sub(lambda mark: _placeholder(path, found), clean)


def _placeholder(path: str, found: list[str]) -> str:
    name = f"{{{{{path}}}}}"
    if name in found:
        name = f"{{{{{path} {sum(path in other for other in found) + 1}}}}}"
    found.append(name)
    return name


def _test(record: Record, placeholders: list[str], template: str) -> str:
    rows = "\n".join(f'        {json.dumps(name)}: "",' for name in placeholders)
    verb, expected, asserts = _expectation(record)
    return _TEST.format(
        function=re.sub(r"\W", "_", record.function),
        name=json.dumps(record.function),
        id=record.request_id[:8],
        date=datetime.fromtimestamp(record.began, UTC),
        began=record.began,
        template=template,
        expected=f"ANSWER = {expected}\n" if expected else "",
        fixture=_FIXTURE % rows if placeholders else "",
        argument=", secrets: dict[str, str]" if placeholders else "",
        fill=_FILL if placeholders else "",
        verb=verb,
        asserts=asserts,
    )


def _expectation(record: Record) -> tuple[str, str, str]:
    """How the test is named, the answer it expects and what it asserts of `answer`."""
    if record.status != "success":
        return (
            "does_not_fail",
            "",
            f"    assert answer is not None  # it failed: {record.error_type or record.status}",
        )
    answer = json.loads(record.payload)
    if record.http_status is None or not isinstance(answer, dict) or "statusCode" not in answer:
        return "answers_as_recorded", _literal(redacted(answer)), "    assert redacted(answer) == ANSWER"
    if record.http_status >= _FAILED_FROM:
        return "does_not_fail", "", f'    assert answer["statusCode"] < {_FAILED_FROM}, answer'
    status = f'    assert answer["statusCode"] == {record.http_status}, answer'
    try:
        body = json.loads(answer["body"])
    except (KeyError, TypeError, ValueError):
        body, actual = answer.get("body"), 'redacted(answer.get("body"))'
        if answer.get("isBase64Encoded"):
            return "answers_as_recorded", "", status
    else:
        actual = 'redacted(json.loads(answer["body"]))'
    return "answers_as_recorded", _literal(redacted(body)), f"{status}\n    assert {actual} == ANSWER"


def _literal(value: Any, indent: str = "") -> str:
    """JSON as Python writes it, one value in a line."""
    more = indent + "    "
    if isinstance(value, dict) and value:
        rows = [f"{_literal(key)}: {_literal(part, more)}" for key, part in value.items()]
        return "{\n" + "".join(f"{more}{row},\n" for row in rows) + indent + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{more}{_literal(part, more)},\n" for part in value) + indent + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return repr(value)


def _relative(template: Path, test: Path) -> str:
    """The template as the test finds it, also after the project was moved."""
    way = Path(os.path.relpath(template, test.parent))
    ups = way.parts.count("..")
    below = [json.dumps(part) for part in way.parts[ups:]]
    return " / ".join([f"Path(__file__).parents[{ups}]", *below])
