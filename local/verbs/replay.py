"""`facet replay` and `facet save`."""

import difflib
import json
import sys
from pathlib import Path
from typing import Any

import click

from local.cloud import project
from local.cloud.control import Client, NotRunning, Refused
from local.cloud.debug_ports import NoPort
from local.records.redact import redact, redacted
from local.verbs import complete, json_option, printable, template_option
from local.verbs.debug import debugger, port_option
from local.verbs.records import opened, parsed, pretty

DIFFERENT = 1
SHOWN_LINES = 60


class Impossible(click.ClickException):
    """It cannot be replayed: neither the same nor different."""

    exit_code = 2


@click.command()
@click.argument("request_id", metavar="ID", shell_complete=complete.records)
@click.option("--keep-clock", is_flag=True, help="Let the clock go on as it is now.")
@click.option("--until-fails", "times", type=click.IntRange(min=1), default=1, metavar="N", help="Up to N times.")
@click.option("--debug", is_flag=True, help="Wait for a debugger before the handler is imported.")
@port_option
@click.option("--log", "show_log", is_flag=True, help="Print the new log on standard error.")
@json_option
@template_option
def replay(
    request_id: str,
    keep_clock: bool,
    times: int,
    debug: bool,
    port: int,
    show_log: bool,
    as_json: bool,
    template: Path | None,
) -> None:
    """Give a recorded event again and compare the answers.

    At the time it was first handled. Exit code 0 when they are equal byte for byte, 1 when they differ, 2 when it
    cannot be done.

    \b
    facet replay 0b7f3c0e
    facet replay 0b7f3c0e --debug          with a debugger
    facet replay 0b7f3c0e --until-fails 50
    """
    found = project.find(template)
    client = Client.of(found)
    try:
        with debugger(client, found.root, port if debug else None) as debug_port:
            arguments = {"id": request_id, "keep_clock": keep_clock, "debug_port": debug_port}
            answer, count = _replayed(client, arguments, times)
    except (NotRunning, Refused, NoPort) as exc:
        raise Impossible(str(exc)) from exc
    if show_log:
        click.echo(printable(redact(answer["log"])), err=True, nl=False)
    if as_json:
        bodies = {name: parsed(answer[name].encode()) for name in ("payload", "recorded")}
        click.echo(json.dumps({**answer, **bodies, "log": redact(answer["log"])}, indent=2))
    else:
        click.echo(printable(pretty(answer["payload"].encode())))
        click.echo(printable(_verdict(answer, count, times)), err=True)
    sys.exit(0 if answer["same"] else DIFFERENT)


def _replayed(client: Client, arguments: dict[str, Any], times: int) -> tuple[dict[str, Any], int]:
    """The first answer that differs, or else the last, and how many there were."""
    answer, count = {"same": True}, 0
    while count < times and answer["same"]:
        answer, count = client.call("replay", timeout=None, **arguments), count + 1
    return answer, count


def _verdict(answer: dict[str, Any], count: int, times: int) -> str:
    often = f" {count} times" if times > 1 else ""
    if answer["same"]:
        return f"The answer is the recorded one{often}, byte for byte."
    changed = "\nThe settings of the function have changed since." if answer["settings_changed"] else ""
    before, after = (_lines(answer[name]) for name in ("recorded", "payload"))
    lines = list(difflib.unified_diff(before, after, "recorded", "now", n=1, lineterm=""))
    hidden = "They differ in what is redacted, or in order and blanks alone."
    more = [f"… {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
    at = f", the {count}. time" if times > 1 else ""
    return "\n".join(
        [f"The answer differs from the recorded one{at}.{changed}", *(lines[:SHOWN_LINES] or [hidden]), *more]
    )


def _lines(payload: str) -> list[str]:
    try:
        value = json.loads(payload)
    except ValueError:
        return redact(payload).splitlines()
    if isinstance(value, dict) and isinstance(value.get("body"), str):
        try:
            value["body"] = json.loads(value["body"])
        except ValueError:
            value["body"] = value["body"].splitlines()
    return json.dumps(redacted(value), indent=2, ensure_ascii=False).splitlines()


@click.command()
@click.argument("request_id", metavar="ID", shell_complete=complete.records)
@click.option(
    "--to", type=click.Path(path_type=Path), help="A folder, or a file test_….py; tests/recorded unless told."
)
@template_option
def save(request_id: str, to: Path | None, template: Path | None) -> None:
    """Write a test of a recorded event and its answer.

    It calls the handler in process, with its clock at the time of the recording. Secrets are left out of the event: the
    test says what to fill in.

    \b
    facet save 0b7f3c0e
    facet save 0b7f3c0e --to tests/test_of_a_bug.py
    """
    from local.records import regression

    found = project.find(template)
    record = opened(template).find(request_id)
    target = to or found.root / "tests" / "recorded"
    if target.suffix != ".py":
        target = target / f"test_{record.function}_{record.request_id[:8].replace('-', '_')}.py"
    saved = regression.save(record, target.resolve(), found.template)
    click.echo(f"Wrote {target} and {target.with_suffix('.json').name} beside it.")
    for placeholder in saved:
        click.echo(f"  fill in {placeholder}: secrets are not saved")
    click.echo(f"Run it: pytest {target}")
