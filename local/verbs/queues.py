"""`facet queue …`: what waits in the broker's queues, what is dead in them, and sending it back."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from local.verbs import complete, json_option, template_option

if TYPE_CHECKING:
    from local.cloud.queues import Queues

queue_argument = click.argument("queue", shell_complete=complete.queues)


@click.group()
def queue() -> None:
    """Look into the queues of the broker; send dead letters back."""


@queue.command("list")
@json_option
@template_option
def list_(as_json: bool, template: Path | None) -> None:
    """List the queues: what waits, and what consumers hold.

    What they hold is up to 5 s old. Dead letters stand beside the queue they are of.

    \b
    facet queue list
    facet queue list --json | jq '.[] | select(.depth > 0)'
    """
    from local.cloud import project

    mappings = project.find(template).read().queues
    rows = [asdict(row) for row in opened(template).rows([mapping.queue for mapping in mappings])]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        held = "" if row["unacked"] is None else f"{row['unacked']:>5} held"
        dead = f"  dead letters of {row['dead_letters_of']}" if row["dead_letters_of"] else ""
        consumers = f"{row['consumers']:>3} consumers"
        click.echo(f"{row['name']:<36} {row['depth']:>6} waiting {held} {consumers}  {row['type'] or ''}{dead}")


@queue.command()
@queue_argument
@click.option(
    "--number", "-n", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many messages."
)
@json_option
@template_option
def peek(queue: str, count: int, as_json: bool, template: Path | None) -> None:
    """Print the first messages of QUEUE, without secrets.

    \b
    facet queue peek tasks
    facet queue peek results --number 1 --json
    """
    _print(opened(template).peek(queue, count), as_json)


@queue.command()
@click.argument("queue", required=False, shell_complete=complete.queues)
@click.option(
    "--number",
    "-n",
    "count",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="How many of each.",
)
@json_option
@template_option
def dead(queue: str | None, count: int, as_json: bool, template: Path | None) -> None:
    """Print the dead letters of QUEUE, or of all queues, and why.

    Without secrets.

    \b
    facet queue dead
    facet queue dead results --json
    """
    queues = opened(template)
    if queue:
        names = [f"{queues.named(queue).removesuffix('.dead')}.dead"]
    else:
        names = [row.name for row in queues.rows() if row.dead_letters_of and row.depth]
    letters = [{"queue": name, **letter} for name in names for letter in queues.peek(name, count)]
    _print(letters, as_json)


@queue.command()
@queue_argument
@click.option("--all", "everything", is_flag=True, help="Every dead letter that is there now.")
@click.option("--id", "message_id", help="The one with this message id.")
@click.option("--body", type=click.File("rb"), help="With --id: send this instead of its body; - reads standard input.")
@json_option
@template_option
def redrive(
    queue: str,
    everything: bool,
    message_id: str | None,
    body: BinaryIO | None,
    as_json: bool,
    template: Path | None,
) -> None:
    """Send dead letters of QUEUE back to where they came from.

    Without the reason in their headers.

    \b
    facet queue redrive results --all        all of them
    facet queue redrive results --id ID      one
    """
    if everything == (message_id is not None):
        raise click.UsageError("Say which: --all or --id MESSAGE_ID (`facet queue dead` lists them).")
    if body is not None and message_id is None:
        raise click.UsageError("--body goes with --id: it replaces one message's body.")
    number = opened(template).redrive(queue, message_id, body.read() if body else None)
    click.echo(json.dumps({"redriven": number}) if as_json else f"{number} sent back.")


@queue.command()
@queue_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@template_option
def purge(queue: str, yes: bool, as_json: bool, template: Path | None) -> None:
    """Delete every waiting message of QUEUE, for good.

    \b
    facet queue purge results.dead --yes
    """
    queues = opened(template)
    if not yes:
        click.confirm(f"Delete every message that waits in {queues.named(queue)}?", abort=True)
    number = queues.purge(queue)
    click.echo(json.dumps({"deleted": number}) if as_json else f"{number} deleted.")


def opened(template: Path | None) -> "Queues":
    """The queues of the project's broker."""
    from local.cloud import project
    from local.cloud.broker import Broker
    from local.cloud.queues import Queues
    from local.cloud.state import State

    found = project.find(template)
    return Queues(Broker.of(found, State.open(found.root)))


def _print(letters: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(letters, indent=2))
        return
    for letter in letters:
        place = f"{letter['queue']}  " if "queue" in letter else ""
        reason = f"  {letter['error_code']}: {letter['error']}".rstrip(": ") if letter["error_code"] else ""
        again = "  redelivered" if letter["redelivered"] else ""
        click.echo(f"{place}{letter['message_id'] or 'without an id'}{again}{reason}")
        click.echo(f"  {letter['body']}")
    if not letters:
        click.echo("There are none.")
