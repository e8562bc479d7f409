"""`facet records` and `facet show`: what the ring remembers, without secrets."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from local.cloud import project
from local.cloud.state import State
from local.records.record import Record
from local.records.redact import redact, redacted
from local.records.ring import Ring
from local.verbs import complete, json_option, printable, template_option

NONE_YET = "Nothing is recorded yet. `facet up` records the invocations of the whole stack, FACET_RECORDS=on always."


def opened(template: Path | None) -> Ring:
    return Ring(State.open(project.find(template).root).records)


@click.command()
@click.argument("name", required=False, shell_complete=complete.functions)
@click.option("--number", "-n", type=click.IntRange(min=1), default=20, help="How many of the last; 20 unless told.")
@click.option("--errors", is_flag=True, help="Only failed functions and answers from 400 on.")
@json_option
@template_option
def records(name: str | None, number: int, errors: bool, as_json: bool, template: Path | None) -> None:
    """List the last invocations of function NAME, or of all.

    The newest comes last.

    \b
    facet records --errors
    facet show ID       what one was given and answered
    facet replay ID     the same once more
    facet save ID       a test of it
    """
    name = name and project.find(template).name_of(name)
    found = opened(template).latest(number, name, errors=errors)[::-1]
    if as_json:
        click.echo(json.dumps([_facts(record) for record in found], indent=2))
    elif not found:
        click.echo(NONE_YET if not (name or errors) else "None of those that are kept.")
    for record in () if as_json else found:
        click.echo(_line(record))


@click.command()
@click.argument("request_id", metavar="ID", shell_complete=complete.records)
@json_option
@template_option
def show(request_id: str, as_json: bool, template: Path | None) -> None:
    """Print what an invocation was given, answered and logged.

    ID is the beginning of its request id.

    \b
    facet show 0b7f3c0e
    facet show 0b7f3c0e --json | jq .event
    """
    record = opened(template).find(request_id)
    if as_json:
        bodies = {"event": parsed(record.event), "answer": parsed(record.payload), "log": redact(record.log)}
        click.echo(json.dumps({**_facts(record), **bodies}, indent=2))
        return
    click.echo(f"{_line(record)}\n{record.request_id}")
    if record.trace_id:
        click.echo(f"trace {record.trace_id}")
    if not record.whole:
        click.echo("Cut to make room: only the beginning of event, answer and log is kept.")
    for title, body in (("event", pretty(record.event)), ("answer", pretty(record.payload))):
        click.echo(f"\n{click.style(title, bold=True)}\n{printable(body)}")
    click.echo(f"\n{click.style('log', bold=True)}\n{printable(redact(record.log))}", nl=False)


def parsed(body: bytes) -> Any:
    """A body as JSON without secrets; what is none as a text."""
    try:
        return redacted(json.loads(body))
    except (ValueError, RecursionError):
        return redact(body.decode(errors="backslashreplace"))


def pretty(body: bytes) -> str:
    value = parsed(body)
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def outcome(record: Record) -> str:
    """A word for how it ended: an HTTP status, ok, timeout or the type of the error."""
    if record.http_status is not None:
        return str(record.http_status)
    return {"success": "ok", "timeout": "timeout"}.get(record.status, record.error_type or record.status)


def _line(record: Record) -> str:
    at = datetime.fromtimestamp(record.started).strftime("%H:%M:%S.%f")[:-3]
    cold = "" if record.init_ms is None else f"  cold, {record.init_ms:.0f} ms"
    failed = record.status != "success" or (record.http_status or 0) >= 400
    ended = click.style(f"{outcome(record):<9}", fg="red" if failed else "green")
    facts = f"{record.request_id[:8]}  {record.function:<24} {record.source:<9}"
    return f"{at}  {facts} {ended} {record.duration_ms:>8.0f} ms{cold}"


def _facts(record: Record) -> dict[str, Any]:
    hidden = ("event", "payload", "log", "environment", "report")
    return {name: value for name, value in vars(record).items() if name not in hidden}
