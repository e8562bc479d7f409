"""An environment under awslambdaric behaves for its invoker as a sandbox does."""

import asyncio
import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.invoker import Invoker
from local.sandbox.launcher import LaunchFailed
from local.template import load
from tests.local.emulator.lab import SECRET, answer, copy_sample, error


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def invoker(tmp_path: Path, runner: asyncio.Runner) -> Iterator[Invoker]:
    template = load(copy_sample(tmp_path) / "template.yaml", {"SECRET_KEY": SECRET})
    invoker = Invoker(template, logs=tmp_path / "logs", runtime="awslambdaric")
    runner.run(invoker.start())
    yield invoker
    runner.run(invoker.stop(grace=0.5))


def test_it_is_cold_once_and_warm_afterwards(invoker: Invoker, runner: asyncio.Runner) -> None:
    first, second = (runner.run(invoker.invoke("echo", {"a": 1})) for _ in range(2))
    assert (first.report.init_ms is not None, second.report.init_ms) == (True, None)
    assert [answer(one)["calls"] for one in (first, second)] == [1, 2]
    assert answer(first)["event"] == {"a": 1}
    assert f"START RequestId: {first.request_id}" in first.log
    assert first.report.max_memory_mb > 1


def test_what_it_prints_is_in_the_log(invoker: Invoker, runner: asyncio.Runner) -> None:
    log = runner.run(invoker.invoke("trouble", {"kind": "log"})).log
    assert "printed line\n" in log
    assert "logged line" in log


def test_one_that_was_killed_is_replaced_and_nothing_is_left(invoker: Invoker, runner: asyncio.Runner) -> None:
    pid = answer(runner.run(invoker.invoke("echo", {})))["pid"]
    os.kill(pid, signal.SIGKILL)
    runner.run(_gone(invoker, "echo"))
    assert answer(runner.run(invoker.invoke("echo", {})))["pid"] != pid
    children = psutil.Process().children(recursive=True)
    runner.run(invoker.stop())
    assert not psutil.wait_procs([one for one in children if "awslambdaric" in _command(one)], timeout=20)[1]


def test_many_run_at_once(invoker: Invoker, runner: asyncio.Runner) -> None:
    async def four() -> list[Any]:
        return await asyncio.gather(*(invoker.invoke("slow", {"seconds": 0.3}) for _ in range(4)))

    assert len({answer(done)["pid"] for done in runner.run(four())}) == 4


def test_an_answer_to_what_was_not_asked_is_refused(invoker: Invoker, runner: asyncio.Runner) -> None:
    api = answer(runner.run(invoker.invoke("echo", {})))["environment"]["AWS_LAMBDA_RUNTIME_API"]

    async def forged() -> list[int]:
        async with httpx.AsyncClient(base_url=f"http://{api}/2018-06-01/runtime", trust_env=False) as client:
            answered = await client.post("/invocation/another/response", content=b"1")
            taken = await client.get("/invocation/next", headers={"sec-fetch-site": "cross-site"})
            return [answered.status_code, taken.status_code]

    assert runner.run(forged()) == [400, 403]
    assert answer(runner.run(invoker.invoke("echo", {})))["calls"] == 2


def test_where_the_package_is_missing_that_is_said(
    invoker: Invoker, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LaunchFailed, match="pip install awslambdaric"):
        runner.run(invoker.invoke("tick", {}))


def test_an_error_keeps_it_warm_and_a_timeout_does_not(invoker: Invoker, runner: asyncio.Runner) -> None:
    error(runner.run(invoker.invoke("trouble", {"kind": "raise_error"})))
    assert runner.run(invoker.invoke("trouble", {"kind": "log"})).report.init_ms is None
    assert error(runner.run(invoker.invoke("trouble", {"kind": "loop"})))["errorType"] == "Sandbox.Timedout"
    assert runner.run(invoker.invoke("trouble", {"kind": "log"})).report.init_ms is not None


async def _gone(invoker: Invoker, name: str) -> None:
    async with asyncio.timeout(20):
        while invoker.sandboxes()[name]["sandboxes"]:
            await asyncio.sleep(0.01)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
