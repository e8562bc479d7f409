"""`facet import-legacy`: what it asks of the function, what it prints, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from local import cli
from local.verbs import legacy

DSN, S3_URL = "postgresql://u:p-w0rd@db/old", "http://k:s3cret@s3:9000"
NOBODY: dict[str, list[Any]] = {"skipped": [], "changed": []}
BATCHES: dict[str, dict[str, Any]] = {
    "users": {"phase": "users", "done": 2, "total": 2, "cursor": "tasks", "imported": 2, "present": 0, **NOBODY},
    "tasks": {
        "phase": "tasks", "done": 4, "total": 5, "cursor": "tasks:4", "imported": 0, "present": 0, "changed": [],
        "skipped": [{"what": "task", "id": id, "code": "PHOTO_MISSING", "reason": "no photo"} for id in range(1, 5)],
    },
    "tasks:4": {
        "phase": "tasks", "done": 5, "total": 5, "cursor": None, "imported": 1, "present": 0, "skipped": [],
        "changed": [{"what": "task", "id": 5, "code": "LEGACY_UNFINISHED", "reason": "open"}],
    },
}  # fmt: skip
Facet = Callable[..., Result]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the function was given, one event per batch."""
    given: list[dict[str, Any]] = []

    def operate(name: str, event: dict[str, Any]) -> Any:
        given.append(event)
        return BATCHES[event["after"]]

    monkeypatch.setattr(legacy, "operate", operate)
    return given


@pytest.fixture
def facet(monkeypatch: pytest.MonkeyPatch) -> Facet:
    for name in ("LEGACY_DSN", "LEGACY_S3_URL", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(cli.main, ["import-legacy", *arguments])


def test_it_goes_on_from_cursor_to_cursor_to_the_end(facet: Facet, events: list[dict[str, Any]]) -> None:
    result = facet(DSN, S3_URL, "--api-key-id", "7", "--adopt-accounts", "--batch", "4")
    assert result.exit_code == 0
    assert [event["after"] for event in events] == ["users", "tasks", "tasks:4"]
    assert events[0] == {
        "dsn": DSN, "s3_url": S3_URL, "after": "users", "limit": 4, "api_key_id": 7, "adopt_accounts": True
    }  # fmt: skip


def test_skips_are_no_failure_and_are_summed_up_by_reason(facet: Facet, events: list[dict[str, Any]]) -> None:
    result = facet(DSN, S3_URL)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "users   2 imported, 0 already there, 0 skipped",
        "tasks   1 imported, 0 already there, 4 skipped",
        "skipped: 4 PHOTO_MISSING: no photo (task 1, task 2, task 3, …)",
        "imported, changed: 1 LEGACY_UNFINISHED: open (task 5)",
        "Nobody stays signed in: the old tokens are not taken over. Everybody signs in again, with the same password.",
    ]
    assert result.stderr.splitlines() == ["users 2 of 2", "tasks 5 of 5"]  # not one line a batch


def test_a_terminal_gets_a_bar(facet: Facet, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = facet(DSN, S3_URL).stderr
    assert "5/5" in shown
    assert "of 5" not in shown


def test_scripts_get_json_and_the_report_a_line_per_row(
    facet: Facet, events: list[dict[str, Any]], tmp_path: Path
) -> None:
    report = tmp_path / "report.jsonl"
    answer = json.loads(facet(DSN, S3_URL, "--json", "--report", str(report)).stdout)
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert answer["tasks"] == {"imported": 1, "present": 0, "skipped": 4}
    assert answer["remarks"] == lines
    assert [line["outcome"] for line in lines] == ["skipped"] * 4 + ["imported, changed"]


def test_both_addresses_may_come_from_the_environment(
    facet: Facet, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEGACY_DSN", DSN)
    monkeypatch.setenv("LEGACY_S3_URL", S3_URL)
    assert facet().exit_code == 0
    assert (events[0]["dsn"], events[0]["s3_url"]) == (DSN, S3_URL)


def test_without_addresses_it_says_which_is_missing(facet: Facet, events: list[dict[str, Any]]) -> None:
    assert (facet().exit_code, events) == (2, [])
    assert "S3-URL" in facet(DSN).output


def test_a_failure_ends_with_1_and_tells_how_to_go_on(facet: Facet, monkeypatch: pytest.MonkeyPatch) -> None:
    def operate(name: str, event: dict[str, Any]) -> Any:
        raise click.ClickException("SourceUnavailable: The old storage cannot be reached.")

    monkeypatch.setattr(legacy, "operate", operate)
    result = facet(DSN, S3_URL)
    assert result.exit_code == 1
    assert "The old storage cannot be reached" in result.stderr
    assert "the same command goes on from there" in result.stderr
    assert "w0rd" not in result.output
    assert "s3cret" not in result.output
