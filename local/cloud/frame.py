"""The screen of `facet up` as text: a pure function of what there is to show and of the terminal's size."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice

from rich.text import Text

_LABEL = 11
_GOOD, _BUSY, _BAD, _FAINT = "green", "yellow", "bold red", "dim"
_STATES = {"running": _GOOD, "stopped": _FAINT}


@dataclass(frozen=True)
class Done:
    """An invocation that has ended, as one line; `status` is an HTTP status, `ok`, or the type of an error."""

    at: float
    what: str
    function: str
    status: str
    ms: float
    cold: bool = False

    @property
    def failed(self) -> bool:
        return self.status != "ok" and not self.status.startswith(("1", "2", "3", "4"))


@dataclass(frozen=True)
class View:
    """What the screen shows. `services`: name, state and restarts; `sandboxes`: all and idle ones by function."""

    ready: bool = False
    stopping: bool = False
    urls: Mapping[str, str] = field(default_factory=dict)
    services: Sequence[tuple[str, str, int]] = ()
    queues: Mapping[str, int] = field(default_factory=dict)
    functions: int = 0
    sandboxes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    last: Sequence[Done] = ()
    invocations: int = 0


def drawn(view: View, *, width: int, height: int) -> Text:
    """At most `height` lines of at most `width` characters; the newest invocations take what room is left."""
    head = [*_head(view, width), *_functions(view, most=max(2, height // 3))]
    room = max(1, height - len(head) - 1)
    lines = [*head, _labelled("last", Text(f"{view.invocations:,} invocations", _FAINT))]
    lines += [_done(each, width) for each in islice(view.last, room)]
    for line in lines[:height]:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines[:height])


def _head(view: View, width: int) -> Iterator[Text]:
    state = Text("ready", _GOOD) if view.ready else Text("stopping" if view.stopping else "starting", _BUSY)
    yield _labelled("Facet", state, style="bold")
    for name, url in view.urls.items():
        yield _labelled(name, Text(url, "cyan"))
    if view.services:
        yield from _wrapped("services", [_service(*each) for each in view.services], width)
    if view.queues:
        yield from _wrapped("queues", [_queue(*each) for each in view.queues.items()], width)


def _functions(view: View, *, most: int) -> Iterator[Text]:
    total = sum(all_ for all_, _ in view.sandboxes.values())
    busy = sum(all_ - idle for all_, idle in view.sandboxes.values())
    yield _labelled("functions", Text(f"{view.functions}, {total} sandboxes, {busy} busy", _FAINT))
    order = sorted(view.sandboxes.items(), key=lambda item: (item[1][1] - item[1][0], item[0]))
    rows = [Text.assemble(f"  {name:<26} ", (error, _BAD)) for name, error in view.broken.items()]
    rows += [_sandboxes(name, *each) for name, each in order if each[0] and name not in view.broken]
    yield from rows[:most]
    if len(rows) > most:
        yield Text(f"  and {len(rows) - most} more with sandboxes", _FAINT)


def _sandboxes(name: str, all_: int, idle: int) -> Text:
    busy = (f"{all_ - idle} busy  ", _BUSY) if all_ > idle else ("        ", "")
    return Text.assemble(f"  {name:<26} ", busy, (f"{idle} idle", _FAINT))


def _service(name: str, state: str, restarts: int) -> Text:
    again = f" ({restarts} restart{'s' * (restarts > 1)})" if restarts else ""
    return Text.assemble(f"{name} ", (state + again, _STATES.get(state, _BAD)))


def _queue(name: str, depth: int) -> Text:
    style = _FAINT if not depth else _BAD if name.endswith(".dead") else _BUSY
    return Text.assemble(f"{name} ", (f"{depth:,}", style))


def _done(done: Done, width: int) -> Text:
    room = max(20, width - 69)
    what = done.what if len(done.what) <= room else f"{done.what[:6]}…{done.what[7 - room :]}"
    status = (
        f"{done.status.rpartition('.')[2]:<12}",
        _BAD if done.failed else _BUSY if done.status[0] == "4" else _GOOD,
    )
    return Text.assemble(
        f"  {time.strftime('%H:%M:%S', time.localtime(done.at))}  {what:<{room}}  {done.function:<24} ",
        status,
        f" {done.ms:>7,.0f} ms",
        (" cold" if done.cold else "", _FAINT),
    )


def _labelled(label: str, text: Text, *, style: str = "") -> Text:
    return Text.assemble((f"{label:<{_LABEL}} ", style), text)


def _wrapped(label: str, parts: Sequence[Text], width: int) -> Iterator[Text]:
    """The parts in as many lines as they need, the label before the first."""
    used, row, placed = width, -1, []
    for part in parts:
        if used + len(part) + 3 > width and used > _LABEL:
            row, used = row + 1, _LABEL + 1
        placed.append((row, part))
        used += len(part) + 3
    for row, group in groupby(placed, key=lambda item: item[0]):
        yield _labelled("" if row else label, Text(" · ", _FAINT).join(part for _, part in group))
