"""`facet schedule …`: when schedules are due, and running one now or as if it were another time."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from local.cloud import project
from local.cloud.control import Client
from local.verbs import complete, json_option, template_option


@click.group()
def schedule() -> None:
    """Look at schedules; run one now, or as at another time."""


class Moment(click.ParamType[datetime]):
    """A time without a zone is UTC, as in the cloud."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-12-31T23:59Z", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


@schedule.command("list")
@json_option
@template_option
def list_(as_json: bool, template: Path | None) -> None:
    """List the schedules and when each is due next.

    \b
    facet schedule list
    facet schedule list --json | jq -r '.[].name'
    """
    rows = _running(template).call("schedules")
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        due = row["due"] or ("never" if row["enabled"] else "disabled")
        click.echo(f"{row['name']:<28} {row['expression']:<24} {due}")


@schedule.command()
@click.argument("name", shell_complete=complete.schedules)
@click.option("--at", "moment", type=Moment(), help="The time its event says, such as 2026-12-31T23:59Z; else now.")
@template_option
def run(name: str, moment: datetime | None, template: Path | None) -> None:
    """Run schedule NAME once and print its answer.

    NAME may be that of its function. Exit code 1 when it failed.

    \b
    facet schedule run reap_tasks
    facet schedule run purge_expired --at 2026-12-31T23:59Z
    """
    at = moment and moment.isoformat()
    answer = _running(template).call("run_schedule", name=name, at=at, timeout=None)
    click.echo(answer["payload"])
    sys.exit(1 if answer["function_error"] else 0)


def _running(template: Path | None) -> Client:
    return Client.of(project.find(template))
