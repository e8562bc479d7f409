"""`facet task …`: what it asks the internal functions, and what it prints of their answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local import cli
from local.verbs import tasks

TASK = "0b7f3c0e-6a4f-4a1e-9f59-3f6cf8f2c3a1"
FOUND: dict[str, Any] = {
    "request_uuid": TASK,
    "status": "PENDING",
    "progress": 0,
    "stage": None,
    "options": {},
    "metadata": {"order": "A-17"},
    "photo": {"bucket": "input-images", "object_key": "user-1/a.jpg", "content_type": "image/jpeg", "size": 48211},
    "model": None,
    "announcements": [
        {"attempt": 1, "message_id": "m-1", "published_at": "2026-01-01T10:00:00Z", "failures": 0, "last_error": None},
        {"attempt": 2, "message_id": "m-2", "published_at": None, "failures": 3, "last_error": "no broker"},
    ],
}

Facet = Callable[..., Result]


class Functions:
    """In place of the running stack: what was asked of which function, and what it answers."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def operate(self, name: str, event: dict[str, Any]) -> Any:
        self.asked.append((name, event))
        return self.answer


@pytest.fixture
def facet() -> Facet:
    return lambda *arguments: CliRunner().invoke(cli.main, ["task", *arguments])


def answering(answer: Any, patch: pytest.MonkeyPatch) -> Functions:
    functions = Functions(answer)
    patch.setattr(tasks, "operate", functions.operate)
    return functions


def test_a_task_is_shown_for_people(facet: Facet, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = answering(FOUND, monkeypatch)
    shown = facet("show", TASK)
    assert shown.exit_code == 0
    assert functions.asked == [("show_task", {"request_uuid": TASK})]
    assert shown.output.splitlines() == [
        f"request_uuid     {TASK}",
        "status           PENDING",
        "progress         0",
        'metadata         {"order": "A-17"}',
        "photo            input-images/user-1/a.jpg (image/jpeg, 48,211 bytes)",
        "announcements    ",
        "  attempt 1  m-1  published 2026-01-01T10:00:00Z",
        "  attempt 2  m-2  not sent yet, 3 failures, the last: no broker",
    ]


def test_a_task_is_shown_for_scripts(facet: Facet, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(FOUND, monkeypatch)
    assert json.loads(facet("show", TASK, "--json").output) == FOUND


def test_requeue_tells_the_attempt(facet: Facet, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = answering({"request_uuid": TASK, "number": 3}, monkeypatch)
    done = facet("requeue", TASK.upper())
    assert functions.asked == [("requeue_task", {"request_uuid": TASK})]
    assert (done.exit_code, done.output) == (0, f"{TASK} goes to agents again within a minute, as attempt 3.\n")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [([], "AGENT_ERROR", None), (["--code", "NO_FACE", "--message", "a hat"], "NO_FACE", "a hat")],
)
def test_fail_says_how_it_ended(
    facet: Facet, monkeypatch: pytest.MonkeyPatch, options: list[str], code: str, message: str | None
) -> None:
    functions = answering({"request_uuid": TASK, "code": code}, monkeypatch)
    done = facet("fail", TASK, *options)
    assert functions.asked == [("fail_task", {"request_uuid": TASK, "code": code, "message": message})]
    assert (done.exit_code, done.output) == (0, f"{TASK} has ended as FAILED ({code}).\n")


@pytest.mark.parametrize("verb", ["show", "requeue", "fail"])
def test_no_uuid_is_wrong_usage(facet: Facet, verb: str) -> None:
    done = facet(verb, "everything")
    assert done.exit_code == 2
    assert "'everything' is not a valid UUID" in done.output


@pytest.mark.parametrize("verb", ["show", "requeue", "fail"])
def test_without_a_running_stack_it_says_how_to_start_it(
    facet: Facet, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACET_STATE", str(tmp_path))
    done = facet(verb, TASK)
    assert done.exit_code == 1
    assert "Start it with `facet up`" in done.output
