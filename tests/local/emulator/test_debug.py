"""A debugger attaches to a function before its module is imported, and stops it at every event."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from local.sandbox.how import How
from tests.local.debugger import debugging
from tests.local.emulator.lab import Lab, answer, error, lab
from tests.stacks import free_port

T = TypeVar("T")


@pytest.fixture
def port() -> int:
    return free_port()


def line_of(sample: Lab, function: str, text: str) -> tuple[Path, int]:
    file = sample.template.functions[function].code / "handler.py"
    return file, next(n for n, line in enumerate(file.read_text().splitlines(), 1) if text in line)


async def away(work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.to_thread(work, *arguments)


async def listening(sample: Lab, line: str) -> None:
    async with asyncio.timeout(20):
        while line not in sample.reports:
            await asyncio.sleep(0.01)


def test_a_breakpoint_stops_the_first_call_and_the_second_of_one_sandbox(tmp_path: Path, port: int) -> None:
    before = set(psutil.Process().children(recursive=True))  # the servers of the tests may be among them
    with lab(tmp_path, debug={"trouble": port}) as sample:
        file, line = line_of(sample, "trouble", 'print("printed line")')

        async def play() -> None:
            await listening(sample, f"trouble waits for a debugger at 127.0.0.1:{port}")
            with debugging(port) as debugger:
                first = asyncio.ensure_future(sample.invoker.invoke("trouble", {"kind": "log"}))
                await away(debugger.attach, file, line)
                assert await away(debugger.stopped_at) == ("log", line)
                second = asyncio.ensure_future(sample.invoker.invoke("trouble", {"kind": "log"}))
                await asyncio.sleep(1.1)  # more than its timeout
                answer(await sample.invoker.invoke("tick", {}))
                await away(debugger.go_on)
                finished = await first
                assert answer(finished) == "ok"
                assert await away(debugger.stopped_at) == ("log", line)
                await away(debugger.go_on)
                assert answer(await second) == "ok"
                assert not (await second).report.cold
                assert sample.log("trouble").startswith("START RequestId")  # no warnings of the debugger's own
                assert finished.report.duration_ms > 1000
                assert sample.invoker.sandboxes()["trouble"]["sandboxes"] == 1

        sample.run(play())
        started = set(psutil.Process().children(recursive=True)) - before
    assert psutil.wait_procs(started, timeout=20)[1] == []


def test_one_call_can_be_debugged_from_its_modules_first_line_on(tmp_path: Path, port: int) -> None:
    with lab(tmp_path) as sample:
        file, line = line_of(sample, "echo", "calls = 0")

        async def play() -> None:
            call = asyncio.ensure_future(sample.invoker.invoke("echo", {}, how=How(debug_port=port)))
            await listening(sample, f"echo waits for a debugger at 127.0.0.1:{port}")
            with debugging(port) as debugger:
                await away(debugger.attach, file, line)
                assert await away(debugger.stopped_at) == ("<module>", line)
                await away(debugger.go_on)
                assert answer(await call)["calls"] == 1
            assert "echo" not in sample.invoker.sandboxes()

        sample.run(play())


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with socket.socket() as taken, lab(tmp_path) as sample:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        how = How(debug_port=taken.getsockname()[1])
        invocation = sample.run(sample.invoker.invoke("echo", {}, how=how))
        assert error(invocation)["errorType"] == "Runtime.DebuggerError"
        assert f"on port {how.debug_port}: " in error(invocation)["errorMessage"]
