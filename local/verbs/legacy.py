"""`facet import-legacy`: take over what the system before this one holds, batch after batch."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from local.verbs import json_option, operate

PHASES = ("users", "tasks")
LINE_SECONDS = 5
SHOWN = 3  # ids per reason; the report has them all
SIGN_IN = "Nobody stays signed in: the old tokens are not taken over. Everybody signs in again, with the same password."
Show = Callable[[Mapping[str, Any]], None]


@dataclass
class Tally:
    """What all batches did together."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: {phase: Counter() for phase in PHASES})
    remarks: list[dict[str, Any]] = field(default_factory=list)

    def add(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Count a batch, and return its remarks as lines of the report."""
        skipped = [{**remark, "outcome": "skipped"} for remark in batch["skipped"]]
        changed = [{**remark, "outcome": "imported, changed"} for remark in batch["changed"]]
        seen = {"imported": batch["imported"], "present": batch["present"], "skipped": len(skipped)}
        self.counts[batch["phase"]].update(seen)
        self.remarks += skipped + changed
        return skipped + changed


@click.command("import-legacy")
@click.argument("dsn", envvar="LEGACY_DSN")
@click.argument("s3_url", metavar="S3-URL", envvar="LEGACY_S3_URL")
@click.option(
    "--api-key-id", type=int, help="The API key that gets the tasks of outside systems; else they are skipped."
)
@click.option("--adopt-accounts", is_flag=True, help="Who has registered here with an old user's e-mail is that user.")
@click.option("--report", type=click.File("w"), help="Write a JSON line for each row skipped or changed.")
@click.option("--batch", "limit", type=click.IntRange(1, 1000), default=50, help="Rows per invocation.")
@json_option
def import_legacy(dsn: str, s3_url: str, report: TextIO | None, as_json: bool, **options: Any) -> None:
    """Take over the data of the system that Facet replaces.

    Users, tasks, photos and models. Run it again as often as you like.
    DSN is its database, S3-URL its storage; LEGACY_DSN and LEGACY_S3_URL in the environment keep both off the screen.

    \b
    facet import-legacy postgresql://USER:PASSWORD@HOST:5432/DATABASE http://KEY:SECRET@HOST:9000
    """
    event = {"dsn": dsn, "s3_url": s3_url, **{name: value for name, value in options.items() if value is not None}}
    tally, cursor = Tally(), PHASES[0]
    try:
        with _progress() as show:
            while cursor is not None:
                batch = operate("import_legacy", {**event, "after": cursor})
                for remark in tally.add(batch):
                    if report is not None:
                        report.write(json.dumps(remark) + "\n")
                show(batch)
                cursor = batch["cursor"]
    except click.ClickException as failure:
        advice = "What has been taken over stays; the same command goes on from there."
        raise click.ClickException(f"{failure.message}\n{advice}") from failure
    click.echo(json.dumps({**tally.counts, "remarks": tally.remarks}, indent=2) if as_json else _summary(tally))


def _summary(tally: Tally) -> str:
    lines = [
        f"{phase}   {count['imported']} imported, {count['present']} already there, {count['skipped']} skipped"
        for phase, count in tally.counts.items()
    ]
    reasons: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for remark in tally.remarks:
        reasons.setdefault((remark["outcome"], remark["code"]), []).append(remark)
    for (outcome, code), remarks in reasons.items():
        ids = ", ".join(f"{remark['what']} {remark['id']}" for remark in remarks[:SHOWN])
        more = ", …" if len(remarks) > SHOWN else ""
        lines.append(f"{outcome}: {len(remarks)} {code}: {remarks[0]['reason']} ({ids}{more})")
    return "\n".join([*lines, SIGN_IN])


@contextmanager
def _progress() -> Iterator[Show]:
    """A bar per phase on a terminal, a line every few seconds elsewhere; both on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description:<6}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {phase: progress.add_task(phase, total=None) for phase in PHASES}
        yield lambda batch: progress.update(bars[batch["phase"]], completed=batch["done"], total=batch["total"])


class _Lines:
    """Progress as plain lines: the first, the last of a phase, and between them not too many."""

    def __init__(self) -> None:
        self._shown_at = 0.0

    def __call__(self, batch: Mapping[str, Any]) -> None:
        is_over = not (batch["cursor"] or "").startswith(f"{batch['phase']}:")
        if is_over or time.monotonic() - self._shown_at > LINE_SECONDS:
            self._shown_at = time.monotonic()
            click.echo(f"{batch['phase']} {batch['done']} of {batch['total']}", err=True)
