"""A trace as text: what was done by whom, when, for how long, and how long it waited before."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.text import Text

from local.records.redact import redact

Span = dict[str, Any]

_FEW = 6  # statements in a row that are told by their whole names
_SHORT = 3  # statements of a transaction that are told by their whole names
_DEEPEST = 20
_TIMES = "\N{MULTIPLICATION SIGN}"
_NARROWEST_BAR = 16
_NARROWEST_NAME = 12
_COLOURS = {"server": "cyan", "client": "green", "producer": "magenta", "consumer": "magenta"}


@dataclass(frozen=True)
class Row:
    """A span, or several statements in a row. Times are seconds from the beginning of the trace."""

    service: str
    name: str
    depth: int
    start: float
    end: float
    spent: float
    kind: str
    is_error: bool


def rows(spans: Sequence[Span], *, whole: bool = False) -> list[Row]:
    """In the order of a tree. Unless `whole`, transactions and statements that follow each other are folded."""
    known = {span["span_id"]: span for span in reversed(spans)}
    begin = min(span["start"] for span in spans)
    told = []
    ordered = _ordered(known, whole)
    for (is_statement, depth), group in groupby(ordered, key=lambda item: (_is_statement(item[0]), item[1])):
        found = [span for span, _ in group]
        folded = is_statement and not whole
        by = _verb if folded and len(found) > _FEW else _name if folded else _id
        for _, same in groupby(found, key=by):
            told.append(_row(list(same), known, depth, begin, by))
    return told


def drawn(rows: Sequence[Row], *, width: int) -> list[Text]:
    """The rows as lines: service, name, offset, duration and a bar."""
    names = [f"{'  ' * min(row.depth, _DEEPEST)}{row.name}" for row in rows]
    services = max(len(row.service) for row in rows)
    room = width - services - 2 - 24
    named = max(_NARROWEST_NAME, min(max(map(len, names)), room - _NARROWEST_BAR))
    total = max(max(row.end for row in rows), 1e-6)
    lines = []
    for row, name in zip(rows, names, strict=True):
        shown = name if len(name) <= named else f"{name[: named - 1]}…"
        style = "bold red" if row.is_error else _COLOURS.get(row.kind, "default")
        line = Text(f"{row.service:<{services}}  ", "dim").append(f"{shown:<{named}}", style)
        line.append(f"  {_time(row.start):>9}  {_time(row.spent):>9}  ", "dim")
        lines.append(line.append(_bar(row, total, max(room - named, _NARROWEST_BAR)), style))
    return lines


def headline(spans: Sequence[Span]) -> str:
    begin, end = min(span["start"] for span in spans), max(span["end"] for span in spans)
    at = datetime.fromtimestamp(begin, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    failed = sum(span["status"] == "error" for span in spans)
    errors = f", {failed} with errors" if failed else ""
    return f"trace {spans[0]['trace_id']}  {at}  {_time(end - begin)}, {len(spans)} spans{errors}"


def _ordered(known: dict[str, Span], whole: bool) -> Iterator[tuple[Span, int]]:
    """Every span once, its children after it, with its depth; what goes round in circles begins anywhere."""
    by_start = sorted(known.values(), key=lambda span: (span["start"], -span["end"]))
    below: defaultdict[str, list[Span]] = defaultdict(list)
    for span in by_start:
        below[span["parent_id"] or ""].append(span)
    roots = [span for span in by_start if span["parent_id"] not in known]
    seen: set[str] = set()
    stack = [(span, 0) for span in (*reversed(by_start), *reversed(roots))]
    while stack:
        span, depth = stack.pop()
        if span["span_id"] not in seen:
            seen.add(span["span_id"])
            children = below[span["span_id"]]
            if not whole and _is_transaction(span) and all(map(_is_quiet, children)):
                seen.update(map(_id, children))
                span, children = {**span, "name": _transaction(children)}, []
            yield span, depth
            stack += [(child, depth + 1) for child in reversed(children)]


def _row(same: Sequence[Span], known: dict[str, Span], depth: int, begin: float, by: Callable[[Span], str]) -> Row:
    first = same[0]
    told = [f"{by(first)} {_TIMES}{len(same)}"] if len(same) > 1 else [first["name"], *_notes(first, known)]
    return Row(
        service=_printable(first["service"]),
        name=_printable(" ".join(told)),
        depth=depth,
        start=first["start"] - begin,
        end=max(span["end"] for span in same) - begin,
        spent=sum(span["end"] - span["start"] for span in same),
        kind=first["kind"],
        is_error=any(span["status"] == "error" for span in same),
    )


def _printable(text: str) -> str:
    """Without secrets, and nothing that a terminal takes for an order: anybody may have sent it."""
    return "".join(character if character.isprintable() else "?" for character in redact(text))


def _notes(span: Span, known: dict[str, Span]) -> Iterable[str]:
    """What there is to say of a span beside its name."""
    said = span["attributes"]
    parent = known.get(span["parent_id"] or "")
    if (status := said.get("http.response.status_code")) is not None:
        yield f"→ {status}"
    if (count := said.get("db.response.returned_rows")) is not None:
        yield f"({count} row{'' if count == 1 else 's'})"
    if parent and parent["kind"] == "producer" and span["start"] > parent["end"]:
        yield f"(waited {_time(span['start'] - parent['end'])})"
    if span["status"] == "error" or "error.type" in said:
        yield f"! {said.get('error.type', 'error')}"


def _is_statement(span: Span) -> bool:
    return span["kind"] == "client" and ("db.system.name" in span["attributes"] or "db.system" in span["attributes"])


def _is_transaction(span: Span) -> bool:
    return span["kind"] == "internal" and "db.system.name" in span["attributes"]


def _is_quiet(span: Span) -> bool:
    return _is_statement(span) and span["status"] != "error"


def _transaction(statements: Sequence[Span]) -> str:
    """A transaction by its statements, or where those are many, by their verbs."""
    inner = [span for span in statements if span["name"] not in ("BEGIN", "COMMIT")]
    by = _name if len(inner) <= _SHORT else _verb
    told = [(name, len(list(same))) for name, same in groupby(map(by, inner))]
    return ", ".join(["transaction", *(f"{name} {_TIMES}{count}" if count > 1 else name for name, count in told)])


def _id(span: Span) -> str:
    return str(span["span_id"])


def _name(span: Span) -> str:
    return str(span["name"])


def _verb(span: Span) -> str:
    verb, space, _ = _name(span).partition(" ")
    return f"{verb} …" if space else verb


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _bar(row: Row, total: float, width: int) -> str:
    begin = min(int(row.start / total * width), width - 1)
    end = max(begin + 1, round(row.end / total * width))
    return f"{'·' * begin}{'█' * (end - begin)}".ljust(width, "·")
