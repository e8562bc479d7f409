"""`facet logs`."""

import re
import time
from pathlib import Path

import click

from local.cloud import project
from local.cloud.state import State
from local.verbs import complete, json_option, template_option

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Ago(click.ParamType[float]):
    """A span of time until now, such as 5m, as seconds since 1970."""

    name = "span"

    def convert(
        self, value: str | float, param: click.Parameter | None = None, ctx: click.Context | None = None
    ) -> float:
        given = re.fullmatch(r"(\d+)([smhd])", str(value))
        if not given:
            self.fail(f"{value!r} is no span of time such as 30s, 5m, 2h or 1d", param, ctx)
        return time.time() - int(given[1]) * UNITS[given[2]]


@click.command()
@click.argument("name", required=False, shell_complete=complete.logs)
@click.option("--follow", "-f", is_flag=True, help="Go on as new lines come.")
@click.option("--lines", "-n", type=click.IntRange(min=0), help="How many of the last lines; 50 unless told.")
@click.option("--since", type=Ago(), default=None, metavar="SPAN", help="Only what began since then, such as 5m.")
@click.option("--errors", is_flag=True, help="Only invocations that failed or logged an error.")
@click.option("--request", default="", metavar="ID", help="Only the invocation whose request id begins so.")
@json_option
@template_option
def logs(
    name: str | None,
    follow: bool,
    lines: int | None,
    since: float | None,
    errors: bool,
    request: str,
    as_json: bool,
    template: Path | None,
) -> None:
    """Print the log of function or service NAME, or of all.

    Those of all functions are in the order of time. Secrets are left out.

    \b
    facet logs -f                          all functions, as it happens
    facet logs create_task --errors        what went wrong in one
    facet logs --request 0b7f3c0e          one invocation; `facet records` lists them
    """
    from local.verbs import log_view

    found = project.find(template)
    state, name = State.open(found.root), name and found.name_of(name)
    most = lines if lines is not None else 100_000 if request else 50
    wanted = log_view.Wanted(most, since or 0.0, errors, request, as_json)
    log_view.show(state, name, wanted, follow=follow, write=click.echo)
