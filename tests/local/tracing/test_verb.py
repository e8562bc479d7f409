"""`facet trace`: one id is enough, whichever it is."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local.cli import main
from local.cloud.state import State
from local.records.ring import Ring

TRACE, TASK = "4bf92f3577b34da6a3ce929d0e0e4736", "0c3ac0ee-3b5c-4cf0-91d6-6a3b5b1f1c55"
REQUEST = "7d3ac0ee-3b5c-4cf0-91d6-6a3b5b1f1c55"


def span(number: int, parent: str | None, *, now: float, **more: Any) -> dict[str, Any]:
    return {
        "trace_id": TRACE,
        "span_id": f"{number:016x}",
        "parent_id": parent,
        "name": "work",
        "kind": "internal",
        "service": "create_task",
        "start": now + 1 + number,
        "end": now + 2 + number,
        "status": "unset",
        "attributes": {},
        **more,
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with a trace, another one after it, and nothing running."""
    (tmp_path / "template.yaml").write_text("Resources: {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACET_STATE", raising=False)
    ring = Ring(State.open(tmp_path).records)
    sent = {"messaging.message.conversation_id": TASK, "url.full": "http://s3/?X-Amz-Signature=abcdef123456"}
    now = time.time()
    ring.spans(
        [
            span(1, None, now=now, attributes={"faas.invocation_id": REQUEST}),
            span(2, f"{1:016x}", now=now, name="send tasks", kind="producer", attributes=sent),
            span(3, None, now=now, trace_id="5" * 32, name="other"),
        ]
    )
    ring.close()
    return tmp_path


def trace(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["trace", *arguments])


@pytest.mark.parametrize(
    "id",
    [
        TRACE,
        TRACE[:8],
        TRACE.upper(),
        TASK,
        TASK[:9],
        REQUEST,
        REQUEST[:8],
        f"00-{TRACE}-00f067aa0ba902b7-01",
        f"1-{TRACE[:8]}-{TRACE[8:]}",
        f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent=00f067aa0ba902b7;Sampled=1",
    ],
)
def test_any_id_of_what_was_done_finds_its_trace(project: Path, id: str) -> None:
    result = trace(id)
    assert result.exit_code == 0, result.output
    head, first, second = result.output.splitlines()
    assert head.startswith(f"trace {TRACE}")
    assert re.match(r"create_task  work +0\.0 ms +1\.00 s  █", first)
    assert re.match(r"create_task    send tasks +1\.00 s +1\.00 s  ·", second)


def test_scripts_get_the_spans_without_secrets(project: Path) -> None:
    spans = json.loads(trace(TASK, "--json").output)
    assert [span["name"] for span in spans] == ["work", "send tasks"]
    assert "abcdef123456" not in json.dumps(spans)


@pytest.mark.parametrize(
    ("id", "words"),
    [("deadbeef", "No trace is kept of deadbeef"), ("xyz", "no id"), ("1' OR '1", "no id"), ("4b", "no id")],
)
def test_what_is_not_there_is_said_so(project: Path, id: str, words: str) -> None:
    result = trace(id)
    assert result.exit_code == 1
    assert words in result.output


def test_where_nothing_was_recorded_there_is_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACET_STATE", raising=False)
    assert "facet up" in trace(TASK).output
