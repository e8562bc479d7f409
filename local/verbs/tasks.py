"""`facet task …`: look at a task, give it to agents again, end it."""

import json
from collections.abc import Mapping
from typing import Any

import click

from local.verbs import json_option, operate


@click.group()
def task() -> None:
    """Look at a task, give it to agents again, end it."""


request_uuid_argument = click.argument("request_uuid", metavar="UUID", type=click.UUID)


@task.command()
@request_uuid_argument
@json_option
def show(request_uuid: object, as_json: bool) -> None:
    """Print all that is stored of a task.

    State, times, attempts, files and messages; no URL and no secret.

    \b
    facet task show 9c1d8c0e-2b7c-4d51-9a53-0a4b1f2f6b5c
    facet task show 9c1d8c0e-2b7c-4d51-9a53-0a4b1f2f6b5c --json
    """
    found = operate("show_task", {"request_uuid": str(request_uuid)})
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))


@task.command()
@request_uuid_argument
def requeue(request_uuid: object) -> None:
    """Give an open task to agents again, in a fresh message.

    For one that waits for nothing any more.

    \b
    facet task requeue 9c1d8c0e-2b7c-4d51-9a53-0a4b1f2f6b5c
    """
    answer = operate("requeue_task", {"request_uuid": str(request_uuid)})
    click.echo(f"{request_uuid} goes to agents again within a minute, as attempt {answer['number']}.")


@task.command()
@request_uuid_argument
@click.option("--code", default="AGENT_ERROR", show_default=True, help="For programs: capitals, digits and _.")
@click.option("--message", help="For people.")
def fail(request_uuid: object, code: str, message: str | None) -> None:
    """End an open task as FAILED, for good.

    \b
    facet task fail 9c1d8c0e-2b7c-4d51-9a53-0a4b1f2f6b5c --code AGENT_ERROR --message "The photo is lost."
    """
    operate("fail_task", {"request_uuid": str(request_uuid), "code": code, "message": message})
    click.echo(f"{request_uuid} has ended as FAILED ({code}).")


def _lines(found: Mapping[str, Any]) -> list[str]:
    """What is there, a line each; nested values indented below their names."""
    lines = []
    for name, value in found.items():
        if value in (None, {}, []):
            continue
        if name in ("photo", "model"):
            value = f"{value['bucket']}/{value['object_key']} ({value['content_type']}, {value['size']:,} bytes)"
        elif name == "announcements":
            value = "".join(f"\n  {_announced(entry)}" for entry in value)
        elif isinstance(value, dict):
            value = json.dumps(value)
        lines.append(f"{name:<16} {value}")
    return lines


def _announced(entry: Mapping[str, Any]) -> str:
    state = f"published {entry['published_at']}" if entry["published_at"] else "not sent yet"
    failures = f", {entry['failures']} failures, the last: {entry['last_error']}" if entry["failures"] else ""
    return f"attempt {entry['attempt']}  {entry['message_id']}  {state}{failures}"
