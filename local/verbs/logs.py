"""`facet logs`."""

from pathlib import Path

import click

from local.cloud import project
from local.cloud.state import State
from local.verbs import reported, template_option


@click.command()
@click.argument("name", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on as new lines come.")
@click.option("--lines", "-n", default=50, help="How many of the last lines.")
@template_option
@reported
def logs(name: str | None, follow: bool, lines: int, template: Path | None) -> None:
    """Print the log of function or service NAME, or of all functions."""
    from local.verbs import log_view

    state = State.open(project.find(template).root)
    log_view.show(state, name, lines=lines, follow=follow, write=click.echo)
