"""`facet functions`, `facet routes` and `facet invoke`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from local.cloud import project
from local.cloud.control import Client, NotRunning
from local.records.redact import redact
from local.verbs import complete, json_option, template_option
from local.verbs.debug import debugger, import_table, port_option
from local.verbs.shapes import shape_option


@click.command()
@json_option
@template_option
def functions(as_json: bool, template: Path | None) -> None:
    """List the functions, their limits and what triggers them.

    \b
    facet functions
    facet functions --json | jq -r '.[] | select(.url) | .url'
    """
    rows = _manifest(template)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:<24} {row['timeout']:>4.0f} s {row['memory']:>5} MB  {row['url'] or row['trigger']}")


@click.command()
@json_option
@template_option
def routes(as_json: bool, template: Path | None) -> None:
    """List the routes of the API and the function behind each.

    \b
    facet routes
    facet routes --json | jq -r '.[].path'
    """
    rows = [{**route, "function": row["name"]} for row in _manifest(template) for route in row["routes"]]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['method']:<7} {row['path']:<62} {row['function']}")


def _manifest(template: Path | None) -> list[dict[str, Any]]:
    from local import manifest

    found = project.find(template)
    try:
        running = Client.of(found).call("status")["functions"]
    except NotRunning:
        running = {}
    return list(running.values()) or [manifest.row(spec) for spec in found.read().functions.values()]


@click.command()
@click.argument("name", shell_complete=complete.functions)
@click.option("--event", "event_file", type=click.File("rb"), help="A complete event as JSON; - reads standard input.")
@click.option(
    "--body", help="A JSON body for the function's route, its queue's message, or else its event; @FILE reads one."
)
@click.option("--file", "photo", help="A file to upload as a form, as PATH or FIELD=PATH.")
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="May be repeated.")
@click.option("--method", help="Which of the function's routes, by method.")
@click.option("--path", help="The path of the request, where the route has parameters.")
@shape_option("What the event comes from, in place of what the template says.", "cloudevent")
@click.option("--check/--no-check", "checked", default=True, help="Refuse an event file that no source would send.")
@click.option("--log", "show_log", is_flag=True, help="Print the invocation's log on standard error.")
@click.option("--honest-cold", is_flag=True, help="Start a new interpreter for it, and tell what the imports took.")
@click.option("--debug", is_flag=True, help="Wait for a debugger before the handler is imported, without a timeout.")
@port_option
@template_option
def invoke(
    name: str, show_log: bool, honest_cold: bool, debug: bool, port: int, template: Path | None, **options: Any
) -> None:
    """Invoke function NAME once and print its answer.

    NAME may also be the template's: a logical id or a FunctionName. The event is made for what triggers it, unless
    --event gives one whole. Exit code 1 when it failed.

    \b
    facet invoke register_user --body '{"name": "Ada", "email": "ada@example.com", "password": "correct horse"}'
    facet invoke create_task --file task_source_file=photo.jpg -H "access-token: $TOKEN"
    facet invoke relay_outbox
    """
    from local.verbs import invoke_event

    found = project.find(template)
    name = found.name_of(name)
    event = invoke_event.build(found, name, **options)
    client = Client.of(found)
    with debugger(client, found.root, port if debug else None) as debug_port:
        answer = client.call("invoke", name=name, event=event, fresh=honest_cold, debug_port=debug_port, timeout=None)
    if show_log:
        click.echo(redact(answer["log"]), err=True, nl=False)
    if honest_cold:
        click.echo(import_table(answer), err=True)
    click.echo(answer["payload"])
    sys.exit(1 if answer["function_error"] else 0)
