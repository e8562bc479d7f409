"""The sample project brought to life for a test module: its own copy, its own zygote, its own event loop."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx

from local.gateway.app import Application, RequestLine, create_app
from local.invocation import Invocation
from local.invoker import Invoker
from local.sandbox.pool import Bounds
from local.template import Template, load

SAMPLE = Path(__file__).parent / "sample"
SECRET = "a secret of the sample"
T = TypeVar("T")


@dataclass
class Lab:
    folder: Path
    template: Template
    invoker: Invoker
    app: Application
    runner: asyncio.Runner
    lines: list[RequestLine] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def invoke(self, name: str, event: Mapping[str, Any] | bytes = b"{}") -> Invocation:
        return self.run(self.invoker.invoke(name, event))

    def recycle(self, name: str) -> None:
        async def recycle() -> None:
            self.invoker.recycle(name)

        self.run(recycle())

    def http(self, method: str, url: str, **options: Any) -> httpx.Response:
        """A request to the gateway, without sockets."""

        async def call() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as client:
                return await client.request(method, httpx.URL("http://localhost").join(url), **options)

        return self.run(call())

    def log(self, function: str) -> str:
        file = self.folder / "logs" / f"{function}.log"
        return file.read_text() if file.exists() else ""


def copy_sample(folder: Path) -> Path:
    """A copy of the sample with what could not be checked in: a handler that is no Python."""
    project = folder / "project"
    shutil.copytree(SAMPLE, project)
    broken = project / "functions" / "broken_syntax"
    broken.mkdir()
    (broken / "handler.py").write_text("def app(event, context)\n    return 1\n")
    return project


def unhurried(template: str) -> str:
    """The sample's template with a minute for `trouble`, where a second is not enough on a busy machine."""
    return template.replace("Timeout: 1\n", "Timeout: 60\n")


@contextlib.contextmanager
def lab(
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    bounds: Bounds | None = None,
    limits: Literal["local", "lambda"] = "local",
    honest_cold: bool = False,
    debug: Mapping[str, int] | None = None,
    walls: bool = True,
    hidden: Sequence[str] = (),
    edit: Callable[[str], str] = str,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    **gateway: Any,
) -> Iterator[Lab]:
    project = copy_sample(folder)
    (project / "template.yaml").write_text(edit((project / "template.yaml").read_text()))
    template = load(project / "template.yaml", {"SECRET_KEY": SECRET, **(settings or {})})
    lines: list[RequestLine] = []
    reports: list[str] = []
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        invoker = Invoker(
            template,
            logs=folder / "logs",
            limits=limits,
            bounds=bounds,
            honest_cold=honest_cold,
            debug=debug or {},
            walls=walls,
            visible=[folder],
            hidden=[folder / name for name in hidden],
            report=reports.append,
        )
        app = create_app(template, invoker, on_request=lines.append, **gateway)
        try:
            runner.run(invoker.start())
            yield Lab(folder, template, invoker, app, runner, lines, reports)
        finally:
            runner.run(invoker.stop(grace=0.5))


def answer(invocation: Invocation) -> Any:
    """What the function returned; fails when it failed."""
    assert invocation.function_error is None, invocation.payload
    return json.loads(invocation.payload)


def error(invocation: Invocation) -> dict[str, Any]:
    """The error object; fails when there is none."""
    assert invocation.function_error == "Unhandled", invocation.payload
    found: dict[str, Any] = json.loads(invocation.payload)
    return found
