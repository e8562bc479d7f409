"""`facet schedule …`: schedules of a running stack, and running one at another time than now."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from local import cli
from local.asynchronous import EventQueue
from local.cloud import control
from local.cloud.answers import Answers
from local.cloud.triggers import Triggers
from local.cloud.up import Stack
from tests.local.emulator.lab import Lab, lab

TICKET = """
from datetime import datetime

EXPIRES = datetime.fromisoformat("2999-01-01T00:00:00+00:00")


def app(event, context):
    now = datetime.fromisoformat(event["time"])
    if now.year == 1999:
        raise ValueError(now)
    return "expired" if now >= EXPIRES else "good"
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("sample")) as running:
        (running.folder / "project/functions/tick/handler.py").write_text(TICKET)
        yield running


@pytest.fixture
def stack(sample: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A running stack with the schedules of the sample alone, asked without its socket."""
    triggers = Triggers(
        sample.invoker,
        EventQueue(sample.invoker, lambda: sample.template),
        None,
        floor=3600,
        report=sample.reports.append,
    )
    answers = Answers(cast("Stack", SimpleNamespace(invoker=sample.invoker, triggers=triggers)))
    only_schedules = SimpleNamespace(queues=(), schedules=sample.template.schedules)

    def call(client: control.Client, verb: str, *, timeout: float | None = 30, **arguments: object) -> Any:
        return sample.run(ask(answers.verbs[verb], arguments))

    monkeypatch.setattr(control.Client, "call", call)
    sample.run(triggers.follow(cast("Any", only_schedules)))
    sample.run(begun())
    yield
    sample.run(triggers.stop())


async def ask(answer: control.Answer, arguments: dict[str, object]) -> object:
    return await answer(arguments)


async def begun() -> None:
    """Let what has just been started begin."""
    await asyncio.sleep(0)


def facet(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["schedule", *arguments])


@pytest.mark.usefixtures("stack")
def test_the_list_tells_when_each_is_due() -> None:
    rows = {row["name"]: row for row in json.loads(facet("list", "--json").stdout)}
    assert rows.keys() == {"tick.Often", "tick.Nightly"}
    assert (rows["tick.Nightly"]["timezone"], rows["tick.Often"]["function"]) == ("Europe/Berlin", "tick")
    assert datetime.fromisoformat(rows["tick.Nightly"]["due"]) > datetime.now(UTC)
    assert "rate(1 minute)" in facet("list").output


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("at", "answer"),
    [("2998-12-31T23:59Z", "good"), ("2999-01-01T00:00:00", "expired"), ("2999-01-01T00:30+01:00", "good")],
)
def test_what_expires_can_be_tried_without_waiting(at: str, answer: str) -> None:
    result = facet("run", "tick.Often", "--at", at)
    assert (result.exit_code, json.loads(result.output)) == (0, answer)


@pytest.mark.usefixtures("stack")
def test_a_schedule_runs_now() -> None:
    assert json.loads(facet("run", "tick.Often").output) == "good"


@pytest.mark.usefixtures("stack")
def test_a_failure_is_printed_and_told_by_the_exit_code() -> None:
    result = facet("run", "tick.Often", "--at", "1999-01-01")
    assert (result.exit_code, json.loads(result.output)["errorType"]) == (1, "ValueError")


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tock"], "tock is no schedule. There are: "),
        (["tick"], "tick is more than one schedule. There are: "),
        (["tick.Often", "--at", "tomorrow"], "'tomorrow' is no time such as 2026-12-31T23:59Z"),
    ],
)
def test_what_cannot_be_run_is_said(arguments: list[str], said: str) -> None:
    result = facet("run", *arguments)
    assert result.exit_code != 0
    assert said in result.output
