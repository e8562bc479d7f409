"""`facet trace`."""

import json
import shutil
from pathlib import Path

import click

from local.cloud import project
from local.cloud.state import State
from local.verbs import complete, json_option, template_option

_PIPED = 160


@click.command()
@click.argument("id", shell_complete=complete.records)
@click.option("--all", "whole", is_flag=True, help="Every statement on a line of its own.")
@json_option
@template_option
def trace(id: str, whole: bool, as_json: bool, template: Path | None) -> None:
    """Draw what was done for ID, when and by whom.

    ID is the UUID of a task, the x-request-id of an answer or a log, or a trace id; its beginning will do.

    \b
    facet trace 0b7f3c0e
    facet trace 0b7f3c0e --all             every statement on a line of its own
    """
    from rich.console import Console

    from local.records.redact import redacted
    from local.records.ring import Ring
    from local.tracing import waterfall

    ring = Ring(State.open(project.find(template).root).records)
    spans = ring.trace(ring.find_trace(id))
    if as_json:
        click.echo(json.dumps(redacted(spans), indent=2))
        return
    console = Console(highlight=False)
    width = shutil.get_terminal_size().columns if console.is_terminal else _PIPED
    console.print(waterfall.headline(spans), style="bold", soft_wrap=True)
    for line in waterfall.drawn(waterfall.rows(spans, whole=whole), width=width):
        console.print(line, soft_wrap=True)
