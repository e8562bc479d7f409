"""`facet send`."""

import json
from pathlib import Path
from typing import BinaryIO

import click

from local.verbs import complete, json_option, template_option


@click.command()
@click.argument("queue", shell_complete=complete.queues)
@click.argument("file", type=click.File("rb"))
@json_option
@template_option
def send(queue: str, file: BinaryIO, as_json: bool, template: Path | None) -> None:
    """Publish FILE as one message to QUEUE.

    `tasks` and `results` are the queues of the settings; `-` is standard input.

    \b
    facet send results report.json
    echo '{"request_uuid": "…", "status": "IN_PROGRESS", "progress": 40}' | facet send results -
    """
    from local.verbs.queues import opened

    queues = opened(template)
    message_id = queues.send(queue, file.read())
    sent = {"queue": queues.named(queue), "message_id": message_id}
    click.echo(json.dumps(sent) if as_json else f"{sent['queue']} has message {message_id}.")
