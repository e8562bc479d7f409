"""`facet up` and its like: the stack as a whole."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from local.cloud import project
from local.cloud.control import Client, NotRunning
from local.cloud.parts import PARTS
from local.cloud.state import State
from local.verbs import complete, json_option, template_option, timed_line
from local.verbs.shapes import shape_option


# An option that is a field of Options needs no more than its line here and there.
@click.command()
@click.option("--detach", "-d", is_flag=True, help="Return as soon as everything is ready.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Run only this part; may be repeated.")
@click.option("--no-agent", is_flag=True, help="Leave the reference agent out.")
@click.option("--limits", type=click.Choice(["local", "lambda"]), default="local", help="Payload limits.")
@click.option(
    "--profile",
    type=click.Choice(["lambda", "knative"]),
    default="lambda",
    help="How queues are delivered: batches until they succeed, or single CloudEvents with retries.",
)
@click.option(
    "--runtime",
    type=click.Choice(["sandbox", "awslambdaric"]),
    default="sandbox",
    help="What runs handlers: sandboxes, or AWS's own client of the Runtime API.",
)
@click.option("--honest-cold", is_flag=True, help="Start every sandbox as a new interpreter, to see what that takes.")
@click.option(
    "--debug",
    shell_complete=complete.functions,
    multiple=True,
    metavar="NAME[:PORT]",
    help="Let this function wait for a debugger, without a timeout; may be repeated.",
)
@click.option("--no-reload", is_flag=True, help="Do not follow what is edited; with --only nothing is followed.")
@click.option("--plain", is_flag=True, help="Print lines instead of the live screen; so it does without a terminal.")
@shape_option("What calls the functions at every local URL, in place of what the template says.")
@template_option
def up(
    detach: bool, only: Sequence[str], no_agent: bool, no_reload: bool, template: Path | None, **chosen: Any
) -> None:
    """Start everything and print where it is; Ctrl-C stops it.

    Services, migrations, functions, triggers and the agent; in a terminal with a live screen of what happens.

    \b
    facet up                      until Ctrl-C
    facet up --detach             in the background; `facet down` ends it
    facet up --only services      PostgreSQL, RabbitMQ and the object store alone
    facet up --debug get_task     with a debugger for one function
    """
    found = project.find(template)
    if detach:
        from local.cloud import background

        background.start(found, list(_flags(click.get_current_context())), click.echo)
        return
    from local.cloud import allocation
    from local.cloud import up as stack

    parts = frozenset(only or PARTS) - ({"agent"} if no_agent else set())
    options = stack.Options(parts=parts, reload=not (no_reload or only), once=parts == {"migrate"}, **chosen)
    allocation.give_large_back()
    asyncio.run(stack.serve(found, options, timed_line))


def _flags(context: click.Context) -> Iterator[str]:
    """The options of this call, for the one in the background."""
    for option in context.command.params:
        value = context.params[option.name or ""]
        if option.name in ("detach", "template") or value in (None, False, ()):
            continue
        for each in value if isinstance(value, tuple) else (value,):
            yield from (option.opts[0],) if each is True else (option.opts[0], str(each))


@click.command()
@template_option
def down(template: Path | None) -> None:
    """Stop everything that `facet up` started.

    \b
    facet down                    also what a killed `facet up` left behind
    """
    from local.cloud import background

    stopped = background.stop(State.open(project.find(template).root), click.echo)
    click.echo("Facet is down." if stopped else "Facet was not running.")


@click.command()
@json_option
@template_option
def status(as_json: bool, template: Path | None) -> None:
    """Tell what runs and where; exit code 0 when all is ready.

    \b
    facet status
    facet status --json | jq -r .api
    """
    client = Client.of(project.find(template))
    try:
        answer = client.call("status")
    except NotRunning:
        if not as_json:
            raise
        click.echo(json.dumps({"ready": False, "running": False}))
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _print_status(answer)
    sys.exit(0 if answer["ready"] else 1)


def _print_status(answer: dict[str, Any]) -> None:
    click.echo("ready" if answer["ready"] else "not ready")
    for url in ("api", "docs", "edge", "otlp"):
        if url in answer:
            click.echo(f"  {url:<12} {answer[url]}")
    for name, service in answer["services"].items():
        place = service.get("url") or f"{service.get('host', '')}:{service.get('port', '')}".strip(":")
        restarts = f", {service['restarts']} restarts" if service.get("restarts") else ""
        click.echo(f"  {name:<12} {place} ({service['state']}{restarts})")
    for name, error in answer["broken"].items():
        click.echo(f"  {name:<12} answers with its old version: {error}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@template_option
def reset(yes: bool, template: Path | None) -> None:
    """Erase all local data.

    Users, tasks, photos, avatars, messages, records and logs; the programs of the services stay.

    \b
    facet reset                   asks first
    facet reset --yes && facet up
    """
    from local.cloud import background

    state = State.open(project.find(template).root)
    if not yes:
        click.confirm(f"Erase all data in {state.root}?", abort=True)
    background.erase(state, click.echo)
    click.echo("All local data is gone. `facet up` starts afresh.")


@click.command()
@json_option
@template_option
def doctor(as_json: bool, template: Path | None) -> None:
    """Check what Facet needs on this machine.

    Packages, disk, clock, settings, template, services, ports; each finding says what to do. Exit code 1 when something
    has to be done.

    \b
    facet doctor
    facet doctor --json | jq '.[] | select(.failed)'
    """
    from local.cloud import doctor as checks

    findings = checks.examine(project.find(template))
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.mark} {finding.name:<14} {finding.detail}")
            if finding.advice:
                click.echo(f"  {'':<14} {finding.advice}")
    sys.exit(any(finding.failed for finding in findings))
