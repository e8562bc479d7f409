"""The live screen of `facet up` in a terminal: what runs, was invoked last, and waits; reports scroll above it."""

import asyncio
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from local.cloud import environment, status
from local.cloud.broker import Broker
from local.cloud.depths import Depths
from local.cloud.frame import Done, View, drawn
from local.records.redact import redact

if TYPE_CHECKING:
    from local.cloud.up import Stack
    from local.gateway.app import RequestLine
    from local.invocation import Invocation

_REFRESH_SECONDS = 0.25
_DEPTHS_SECONDS = 1.0
_KEPT = 50
_KEPT_LINES = 1000


def possible() -> bool:
    """Whether standard output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


class Screen:
    """What is told to it is only noted; a thread draws it four times a second, if it has changed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._last: deque[Done] = deque(maxlen=_KEPT)
        self._invocations = 0
        self._depths: dict[str, int] = {}
        self._drawn: tuple[View, object] | None = None

    def say(self, text: str) -> None:
        """A line that scrolls above the screen."""
        self._lines.append(f"{time.strftime('%H:%M:%S')}  {text}")

    def answered(self, line: "RequestLine") -> None:
        """A request that the gateway has answered."""
        what = f"{line.method} {line.path}"
        self._note(Done(time.time(), what, line.function or "gateway", str(line.status), line.duration_ms, line.cold))

    def ended(self, done: "Invocation") -> None:
        """An invocation that has ended; one of a request is known by its answer."""
        if done.source != "http":
            report = done.report
            state = (report.error_type or report.status) if done.function_error else "ok"
            cold = report.init_ms is not None
            self._note(Done(time.time(), done.source, done.function, state, report.duration_ms, cold))

    @contextlib.asynccontextmanager
    async def showing(self, stack: "Stack") -> AsyncIterator[None]:
        """Shows the stack while the block runs; afterwards the terminal is as it was."""
        with Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
            closing = asyncio.Event()
            both = asyncio.gather(self._keep_drawing(live, stack, closing), self._keep_asking(stack, closing))
            try:
                yield
            finally:
                closing.set()
                await both
        self._print_lines()

    async def _keep_drawing(self, live: Live, stack: "Stack", closing: asyncio.Event) -> None:
        while not closing.is_set():
            await asyncio.to_thread(self._draw, live, self._view(stack))
            await _pause(_REFRESH_SECONDS, closing)

    async def _keep_asking(self, stack: "Stack", closing: asyncio.Event) -> None:
        """The depths of the template's queues, and of their dead letters, once there is a broker."""
        depths: Depths | None = None
        try:
            while not closing.is_set():
                settings = {**environment.DEFAULTS, **stack.settings}
                if stack.triggers and stack.template and stack.template.queues and "RABBITMQ_HOST" in settings:
                    depths = depths or Depths(Broker.by(settings))
                    names = [each.queue for each in stack.template.queues]
                    asked = [*dict.fromkeys([*names, *depths.names]), *(f"{each}.dead" for each in names)]
                    self._depths = await asyncio.to_thread(depths.of, asked)
                await _pause(_DEPTHS_SECONDS, closing)
        finally:
            if depths:
                depths.close()

    def _note(self, done: Done) -> None:
        self._invocations += 1
        self._last.appendleft(done)

    def _view(self, stack: "Stack") -> View:
        counts = stack.invoker.sandboxes() if stack.invoker else {}
        broken = stack.invoker.broken if stack.invoker else {}
        return View(
            ready=stack.ready,
            stopping=stack.stopping.is_set(),
            urls=status.urls(stack),
            services=[(each.name, each.state, each.restarts) for each in stack.supervisor.status()],
            queues=self._depths,
            functions=len(stack.template.functions) if stack.template else 0,
            sandboxes={name: (each["sandboxes"], each["idle"]) for name, each in counts.items()},
            broken={name: redact(error) for name, error in broken.items()},
            last=list(self._last),
            invocations=self._invocations,
        )

    def _draw(self, live: Live, view: View) -> None:
        size = self._console.size
        resized = self._drawn is not None and self._drawn[1] != size
        if resized:  # the terminal has wrapped the old lines anew: no one knows where they begin
            self._console.clear()
        self._print_lines()
        if self._drawn != (view, size):
            live.update(drawn(view, width=size.width - 1, height=size.height - 1), refresh=True)
            self._drawn = (view, size)

    def _print_lines(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            self._console.print(Text("\n".join(lines)), soft_wrap=True)


async def _pause(seconds: float, until: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
