"""`facet diff`: what a template says of the cloud and Facet does not do here."""

import json
from collections import defaultdict
from pathlib import Path

import click

from local.cloud import project
from local.verbs import json_option, template_option


@click.command()
@json_option
@template_option
def diff(as_json: bool, template: Path | None) -> None:
    """Tell what the cloud will do that does not happen here.

    First what matters, then what changes nothing locally.

    \b
    facet diff
    facet diff --json | jq .warnings
    """
    found = project.find(template)
    read = found.read()
    harmless: defaultdict[str, list[str]] = defaultdict(list)
    for place, what in read.harmless:
        harmless[what].append(place)
    if as_json:
        click.echo(json.dumps({"warnings": read.warnings, "harmless": harmless}, indent=2))
        return
    click.echo("\n".join(read.warnings) or "Nothing that matters here is missing.")
    if harmless:
        click.echo("\nIn the cloud only, without effect here:")
    for what, places in sorted(harmless.items()):
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        click.echo(f"  {what:<28} {', '.join(places[:3])}{more}")
