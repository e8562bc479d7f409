"""Edits of a running project: who uses what has changed answers anew, and no request is refused for it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.cloud import watch
from local.cloud.follow import following
from local.cloud.triggers import Triggers
from local.gateway.app import Gateway, create_app
from local.invoker import Invoker, UnknownFunction
from local.template import Template, load

HANDLER = """
import os
import time
from shared import words

def app(event, context):
    time.sleep(float(event.get("seconds", 0)))
    answer = {{"version": {version!r}, "word": words.WORD, "pid": os.getpid(), "stage": os.environ["STAGE"]}}
    return {{"statusCode": 200, "body": __import__("json").dumps(answer)}} if "rawPath" in event else answer
"""
ALONE = """
import os

def app(event, context):
    return {"pid": os.getpid()}
"""
LAZY = """
import os
import time

def app(event, context):
    from shared import lazy
    print("imported", flush=True)
    time.sleep(event.get("seconds", 0))
    return {"pid": os.getpid(), "lazy": lazy.LAZY}
"""
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Handler: handler.app, Timeout: 10, MemorySize: 256, Layers: [!Ref Shared],
                       Environment: { Variables: { STAGE: dev } } } }
Resources:
  Shared: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layer } }
  TalkFunction:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: talk, FunctionUrlConfig: { AuthType: NONE } }
  AloneFunction:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: alone }
  LazyFunction:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: lazy }
"""
ANOTHER = """
  AnotherFunction:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: alone, FunctionUrlConfig: { AuthType: NONE } }
"""


@dataclass
class Project:
    """A project in a folder, followed as `facet up` follows it."""

    folder: Path
    invoker: Invoker
    app: Gateway | None
    template: Template | None
    settings: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    triggers: Triggers | None = None
    reports: list[str] = field(default_factory=list)

    def report(self, text: str) -> None:
        self.reports.append(text)

    def write(self, name: str, text: str) -> None:
        """As editors do it: a new file takes the place of the old one."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_text(text)
        draft.replace(path)

    async def ask(self, name: str = "talk", **event: Any) -> Any:
        invocation = await self.invoker.invoke(name, event)
        assert invocation.function_error is None, invocation.payload
        return json.loads(invocation.payload)

    async def get(self, path: str) -> httpx.Response:
        assert self.app
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost") as client:
            return await client.get(path)


def shared(word: str) -> str:
    return f"WORD = {word!r}\n"


@asynccontextmanager
async def project(folder: Path, **invoker_options: Any) -> AsyncIterator[Project]:
    reports: list[str] = []
    made = Project(folder, None, None, None, reports=reports)  # type: ignore[arg-type] # set below
    made.write("talk/handler.py", HANDLER.format(version="v0"))
    made.write("alone/handler.py", ALONE)
    made.write("lazy/handler.py", LAZY)
    made.write("layer/python/shared/__init__.py", "")
    made.write("layer/python/shared/words.py", shared("w0"))
    made.write("layer/python/shared/lazy.py", "LAZY = 0\n")
    made.write("template.yaml", TEMPLATE)
    made.template = load(folder / "template.yaml")
    made.invoker = Invoker(made.template, logs=folder / ".facet", report=reports.append, **invoker_options)
    made.app = create_app(made.template, made.invoker)
    await made.invoker.start()
    try:
        async with following(made, made.invoker):
            yield made
    finally:
        await made.invoker.stop(grace=0.5)


async def until(probe: Callable[[], Awaitable[object]], *, within: float = 20) -> None:
    """Waits until the probe's answer is true."""
    async with asyncio.timeout(within):
        while not await probe():
            await asyncio.sleep(0.02)


async def settled(running: Project, **expected: Any) -> None:
    """Waits until talk answers this."""

    async def probe() -> bool:
        return bool((await running.ask()).items() >= expected.items())

    await until(probe)


async def broken(running: Project, *names: str) -> None:
    """Waits until exactly these functions keep an old version."""

    async def probe() -> bool:
        return set(running.invoker.broken) == set(names)

    await until(probe)


def reported(running: Project, line: str, times: int = 1) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return running.reports.count(line) == times

    return probe


def scene(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(play())


def test_a_thousand_requests_during_twenty_edits_get_the_old_answer_or_the_new_one(tmp_path: Path) -> None:
    words, handler = "layer/python/shared/words.py", "talk/handler.py"
    versions, stages, served = ["v0"], ["dev"], itertools.count()

    async def play() -> None:
        async with project(tmp_path) as running:
            done = asyncio.Event()

            async def client() -> None:
                while next(served) < 1000 or not done.is_set():
                    response = await running.get("/fn/talk/")
                    assert response.status_code == 200, response.text
                    said = response.json()
                    assert said["version"] in versions[-2:]
                    assert said["word"] in (f"w{versions[-1][1:]}", f"w{int(versions[-1][1:]) - 1}")
                    assert said["stage"] in stages[-2:]

            async def edit(number: int) -> None:
                versions.append(f"v{number}")
                running.write(handler, HANDLER.format(version=f"v{number}"))
                await settled(running, version=f"v{number}")
                running.write(words, shared(f"w{number}"))
                await settled(running, word=f"w{number}")
                running.write(words, "WORD = (\n")
                await broken(running, "talk")
                running.write(words, shared(f"w{number}"))
                await broken(running)
                stages.append(f"stage{number}")
                running.write("template.yaml", TEMPLATE.replace("STAGE: dev", f"STAGE: stage{number}"))
                await settled(running, stage=f"stage{number}")

            async with asyncio.TaskGroup() as clients:
                for _ in range(4):
                    clients.create_task(client())
                for number in range(1, 5):
                    await edit(number)
                done.set()

    scene(play)
    assert next(served) >= 1000


def test_only_those_who_have_imported_the_changed_module_are_renewed(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            before = {name: (await running.ask(name))["pid"] for name in ("talk", "alone", "lazy")}
            running.write("layer/python/shared/words.py", shared("w1"))
            await settled(running, word="w1")
            assert (await running.ask())["pid"] != before["talk"]
            assert (await running.ask("alone"))["pid"] == before["alone"]
            assert (await running.ask("lazy"))["pid"] == before["lazy"]

    scene(play)


def test_a_module_that_was_imported_during_an_event_counts_too(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            slow = asyncio.create_task(running.ask("lazy", seconds=0.7))

            async def imported() -> bool:
                return any("imported" in log.read_text() for log in tmp_path.glob(".facet/lazy.log"))

            await until(imported)
            running.write("layer/python/shared/lazy.py", "LAZY = 1\n")
            assert (await slow)["lazy"] == 0

            async def renewed() -> bool:
                return bool((await running.ask("lazy"))["lazy"] == 1)

            await until(renewed)

    scene(play)


def test_what_is_at_work_finishes_with_the_code_it_began_with(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            await running.ask()
            slow = asyncio.create_task(running.ask(seconds=1.5))
            await asyncio.sleep(0)
            running.write("talk/handler.py", HANDLER.format(version="v1"))
            await settled(running, version="v1")
            assert (await slow)["version"] == "v0"

    scene(play)


def test_a_syntax_error_is_told_in_a_header_the_log_and_the_report_while_the_old_version_answers(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            pid = (await running.ask())["pid"]
            running.write("talk/handler.py", "def app(event, context)\n    return 1\n")
            await broken(running, "talk")
            response = await running.get("/fn/talk/")
            assert (response.status_code, response.json()["pid"]) == (200, pid)
            told = "talk/handler.py:1: SyntaxError: expected ':'"
            assert response.headers["x-facet-reload-error"] == told
            assert running.invoker.broken == {"talk": told}
            assert "Runtime.UserCodeSyntaxError" in (tmp_path / ".facet/talk.log").read_text()
            assert f"reload: {told} (the old version stays: talk)" in running.reports
            running.write("talk/handler.py", HANDLER.format(version="v1"))
            await settled(running, version="v1")
            assert "x-facet-reload-error" not in (await running.get("/fn/talk/")).headers

    scene(play)


def test_a_syntax_error_that_no_sandbox_has_met_is_told_once(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            broken_code = "def app(event, context)\n    return 1\n"
            told = "reload: alone/handler.py:1: SyntaxError: expected ':'"
            running.write("alone/handler.py", broken_code)
            await until(reported(running, told))
            running.write("alone/handler.py", f"{broken_code}\n")
            running.write("lazy/more.py", "x = (")
            await until(reported(running, "reload: lazy/more.py:1: SyntaxError: '(' was never closed"))
            await running.ask()
            running.write("talk/handler.py", broken_code)
            await broken(running, "talk")
            running.write("alone/handler.py", ALONE)
            running.write("lazy/more.py", "x = 2\ny = (")
            await until(reported(running, "reload: lazy/more.py:2: SyntaxError: '(' was never closed"))
            assert running.reports.count(told) == 1
            assert "reload: talk/handler.py:1: SyntaxError: expected ':'" not in running.reports
            running.write("alone/handler.py", broken_code)
            await until(reported(running, told, times=2))

    scene(play)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nothing_of_that_name\n", "ImportModuleError: Unable to import module 'handler': No module named"),
        ("\nraise ValueError('no\\nway')\n", "talk/handler.py:2: ValueError: no way"),
        ("def other(event, context): ...\n", "HandlerNotFound: Handler 'app' missing on module 'handler'"),
    ],
)
def test_whatever_an_import_raises_keeps_the_old_version(tmp_path: Path, code: str, told: str) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            await running.ask()
            running.write("talk/handler.py", code)
            await broken(running, "talk")
            assert running.invoker.broken["talk"].startswith(told)
            assert (await running.ask())["version"] == "v0"

    scene(play)


def test_while_the_new_version_is_broken_requests_wait_for_the_old_sandboxes(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            pid = (await running.ask())["pid"]
            running.write("talk/handler.py", "nothing\n")
            await broken(running, "talk")
            assert {said["pid"] for said in await asyncio.gather(*(running.ask() for _ in range(6)))} == {pid}

    scene(play)


def test_requests_that_meet_the_broken_version_first_go_to_the_old_sandboxes(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            pid = (await running.ask())["pid"]
            running.write("talk/handler.py", "nothing\n")  # and before anybody has seen it:
            assert {said["pid"] for said in await asyncio.gather(*(running.ask() for _ in range(3)))} == {pid}

    scene(play)


def test_the_last_old_sandbox_stays_though_it_was_at_work_when_the_broken_version_came(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            pid = (await running.ask())["pid"]
            slow = asyncio.create_task(running.ask(seconds=1))
            await asyncio.sleep(0)
            running.write("talk/handler.py", "import time\ntime.sleep(2)\nnothing\n")  # tried for longer than that
            assert (await slow)["pid"] == pid
            assert (await running.ask())["pid"] == pid

    scene(play)


def test_a_broken_function_without_an_old_sandbox_answers_with_the_error(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            running.write("talk/handler.py", "import nothing_of_that_name\n")
            response = await running.get("/fn/talk/")
            assert response.status_code == 502
            assert "nothing_of_that_name" in response.json()["detail"]

    scene(play)


def test_a_changed_template_adds_removes_and_renews_functions(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            before = {name: (await running.ask(name))["pid"] for name in ("talk", "alone", "lazy")}
            text = TEMPLATE.replace("CodeUri: talk,", "CodeUri: talk, Timeout: 9,").partition("  LazyFunction")[0]
            running.write("template.yaml", text + ANOTHER.lstrip("\n"))

            async def appeared() -> bool:
                return (await running.get("/fn/another/")).status_code == 200

            await until(appeared)
            assert (await running.ask("alone"))["pid"] == before["alone"]
            with pytest.raises(UnknownFunction):
                await running.ask("lazy")

            async def renewed() -> bool:
                return bool((await running.ask())["pid"] != before["talk"])

            await until(renewed)

    scene(play)


def test_a_broken_template_is_told_and_the_one_before_stays(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            pid = (await running.ask())["pid"]
            template = (running.folder / "template.yaml").read_text()
            running.write("template.yaml", "Resources: [")

            async def told() -> bool:
                return any("template.yaml stays as it was" in line for line in running.reports)

            await until(told)
            assert (await running.ask())["pid"] == pid
            assert "this is no YAML" in running.refused["template.yaml"]
            running.write("template.yaml", template)

            async def followed() -> bool:
                return not running.refused

            await until(followed)

    scene(play)


def test_fresh_interpreters_are_renewed_too(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path, honest_cold=True) as running:
            await running.ask()
            running.write("talk/handler.py", HANDLER.format(version="v1"))
            await settled(running, version="v1")

    scene(play)


def test_files_in_new_folders_and_other_than_python_are_followed(tmp_path: Path) -> None:
    async def play() -> None:
        async with project(tmp_path) as running:
            pid = (await running.ask())["pid"]
            running.write("layer/python/shared/texts/hello.txt", "hello")

            async def renewed() -> bool:
                return bool((await running.ask())["pid"] != pid)

            await until(renewed)

    scene(play)


def test_without_events_of_the_kernel_the_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*folders: Path, **options: Any) -> None:
        raise OSError("no more watches")

    monkeypatch.setattr(watch, "awatch", none_left)
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.05)

    async def play() -> None:
        async with project(tmp_path) as running:
            await running.ask()
            running.write("talk/handler.py", HANDLER.format(version="v1"))
            await settled(running, version="v1")

    scene(play)
