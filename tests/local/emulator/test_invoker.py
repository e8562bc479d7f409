"""The invoker keeps to concurrency, limits and order, and outlives whatever happens to its processes."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.invocation import Invocation
from local.invoker import EventTooLarge, UnknownFunction
from local.sandbox.pool import Bounds, Busy, Throttled
from local.sandbox.preload import preload
from local.sandbox.walls import available
from tests.local.emulator.lab import SECRET, Lab, answer, copy_sample, error, lab, unhurried


def all_of(sample: Lab, *calls: tuple[str, dict[str, Any]]) -> list[Invocation | BaseException]:
    async def gather() -> list[Invocation | BaseException]:
        return await asyncio.gather(*(sample.invoker.invoke(*call) for call in calls), return_exceptions=True)

    return sample.run(gather())


def kinds(results: list[Invocation | BaseException]) -> Counter[str]:
    return Counter(type(result).__name__ for result in results)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


async def happened(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def at_work(sample: Lab, request_id: str) -> None:
    """Waits until `slow` has the event."""
    await happened(lambda: f"at work {request_id}" in sample.log("slow"))


def newest_zygote() -> psutil.Process:
    """That of the lab started last."""
    children = psutil.Process().children()
    return max((one for one in children if "local.sandbox.zygote" in one.cmdline()), key=psutil.Process.create_time)


def test_a_sandbox_is_cold_once_and_warm_afterwards(sample: Lab) -> None:
    sample.recycle("echo")
    first, second = sample.invoke("echo"), sample.invoke("echo")
    assert first.report.init_ms is not None
    assert second.report.init_ms is None
    assert [answer(first)["calls"], answer(second)["calls"]] == [1, 2]
    assert answer(first)["pid"] == answer(second)["pid"]


def test_an_error_of_the_handler_keeps_the_sandbox_warm(sample: Lab) -> None:
    answer(sample.invoke("trouble", {"kind": "log"}))
    error(sample.invoke("trouble", {"kind": "raise_error"}))
    assert sample.invoke("trouble", {"kind": "log"}).report.init_ms is None


def test_the_report_line_is_lambdas_and_tells_of_the_processor_too(sample: Lab) -> None:
    sample.recycle("tick")
    cold, warm = sample.invoke("tick"), sample.invoke("tick")
    request_id, *values = str(cold.report).split("\t")
    assert request_id == f"REPORT RequestId: {cold.request_id}"
    assert [value.split(": ")[0] for value in values] == [
        "Duration",
        "Billed Duration",
        "Memory Size",
        "Max Memory Used",
        "Init Duration",
        "CPU",
    ]
    assert "Memory Size: 256 MB" in values
    assert cold.report.billed_ms >= cold.report.duration_ms + (cold.report.init_ms or 0)
    assert "Init Duration" not in str(warm.report)
    assert 0 < warm.report.max_memory_mb < 100


def test_reserved_concurrency_is_kept_and_the_rest_throttled_at_once(sample: Lab) -> None:
    ended: list[Invocation | BaseException] = []

    async def call() -> None:
        (result,) = await asyncio.gather(sample.invoker.invoke("single", {"seconds": 0.3}), return_exceptions=True)
        ended.append(result)

    async def ten() -> None:
        await asyncio.gather(*(call() for _ in range(10)))

    sample.run(ten())
    assert [type(result) for result in ended] == [Throttled] * 8 + [Invocation] * 2
    assert isinstance(ended[0], Throttled)
    assert ended[0].reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    answer(sample.invoke("single", {"seconds": 0}))


def test_without_it_sixteen_run_and_the_others_wait_their_turn(sample: Lab) -> None:
    results = all_of(sample, *[("slow", {"seconds": 0.05})] * 40)
    assert kinds(results) == {"Invocation": 40}
    assert len({answer(result)["pid"] for result in results if isinstance(result, Invocation)}) == 16


def test_a_recycled_function_is_imported_anew_while_old_ones_finish(sample: Lab) -> None:
    async def during() -> tuple[Invocation, Invocation]:
        old = asyncio.ensure_future(sample.invoker.invoke("slow", {"seconds": 0.3}, request_id="before-recycling"))
        await at_work(sample, "before-recycling")
        sample.invoker.recycle("slow")
        new = await sample.invoker.invoke("slow", {"seconds": 0})
        return await old, new

    old, new = sample.run(during())
    assert answer(old)["pid"] != answer(new)["pid"]
    assert new.report.init_ms is not None
    assert sample.run(sample.invoker.invoke("slow", {"seconds": 0})).report.init_ms is None


def test_an_idle_sandbox_that_dies_is_replaced_unseen(sample: Lab) -> None:
    pid = answer(sample.invoke("echo"))["pid"]
    os.kill(pid, signal.SIGKILL)
    assert answer(sample.invoke("echo"))["pid"] != pid


def test_who_waits_is_counted(tmp_path: Path) -> None:
    with lab(tmp_path, bounds=Bounds(per_function=2)) as sample:

        async def during() -> dict[str, int]:
            calls = [asyncio.ensure_future(sample.invoker.invoke("slow", {"seconds": 0.3})) for _ in range(5)]
            await happened(lambda: sample.invoker.sandboxes().get("slow", {}).get("waiting") == 3)
            counts = sample.invoker.sandboxes()["slow"]
            await asyncio.gather(*calls)
            return counts

        assert sample.run(during()) == {"idle": 0, "sandboxes": 2, "waiting": 3}


def test_a_cancelled_caller_does_not_stop_the_invocation(sample: Lab) -> None:
    async def cancelled() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await sample.invoker.invoke("slow", {"seconds": 0.2}, request_id="cancelled-caller")
        await happened(lambda: "REPORT RequestId: cancelled-caller" in sample.log("slow"))

    sample.run(cancelled())
    assert sample.invoker.sandboxes()["slow"]["idle"] >= 1


def test_an_unknown_function_is_named_with_the_known_ones(sample: Lab) -> None:
    with pytest.raises(UnknownFunction, match=r"There is no function nothing\. There are: .*echo"):
        sample.invoke("nothing")


def test_an_event_over_the_limit_is_refused(sample: Lab) -> None:
    with pytest.raises(EventTooLarge, match="20971520"):
        sample.invoke("tick", {"x": "y" * 21_000_000})
    big = "y" * 15_000_000
    assert answer(sample.invoke("tick", {"x": big})) == {"x": big}


def test_lambdas_own_limits_can_be_asked_for(tmp_path: Path) -> None:
    with lab(tmp_path, limits="lambda", edit=unhurried) as sample:
        with pytest.raises(EventTooLarge, match="6291456"):
            sample.invoke("tick", {"x": "y" * 6_300_000})
        found = error(sample.invoke("trouble", {"kind": "give_much"}))
        assert found["errorMessage"] == ("Response payload size exceeded maximum allowed payload size (6291556 bytes).")


def test_waiting_is_bounded_in_time_and_number(tmp_path: Path) -> None:
    with lab(tmp_path, bounds=Bounds(per_function=1, wait_seconds=0.2, waiting=2)) as sample:
        results = all_of(sample, *[("slow", {"seconds": 1})] * 4)
        assert kinds(results) == {"Invocation": 1, "Busy": 3}
        texts = sorted(str(result) for result in results if isinstance(result, Busy))
        assert texts[0] == "2 requests already wait for slow"
        assert texts[1:] == ["no sandbox for slow became free in 0.2 s"] * 2
        answer(sample.invoke("slow", {"seconds": 0}))


def test_the_cap_ends_idle_sandboxes_of_other_functions(tmp_path: Path) -> None:
    with lab(tmp_path, bounds=Bounds(per_function=3, total=3)) as sample:
        all_of(sample, *[("slow", {"seconds": 0.1})] * 3)
        assert sample.invoker.sandboxes()["slow"] == {"idle": 3, "sandboxes": 3, "waiting": 0}
        answer(sample.invoke("tick"))
        counts = sample.invoker.sandboxes()
        assert (counts["slow"]["sandboxes"], counts["tick"]["sandboxes"]) == (2, 1)


def test_under_the_cap_functions_take_turns(tmp_path: Path) -> None:
    with lab(tmp_path, bounds=Bounds(per_function=2, total=2)) as sample:
        calls = [("slow", {"seconds": 0.05}), ("tick", {}), ("echo", {})] * 10
        assert kinds(all_of(sample, *calls)) == {"Invocation": 30}


def test_long_idle_sandboxes_are_ended(tmp_path: Path) -> None:
    with lab(tmp_path, bounds=Bounds(idle_seconds=0.1)) as sample:
        answer(sample.invoke("tick"))
        nothing = {"idle": 0, "sandboxes": 0, "waiting": 0}
        sample.run(happened(lambda: sample.invoker.sandboxes()["tick"] == nothing))


def test_a_killed_zygote_costs_the_invocation_in_flight_and_nothing_else(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:
        answer(sample.invoke("tick"))
        zygote = newest_zygote()

        async def killed() -> Invocation:
            running = asyncio.ensure_future(sample.invoker.invoke("slow", {"seconds": 4}, request_id="in-flight"))
            await at_work(sample, "in-flight")
            zygote.kill()
            return await running

        assert error(sample.run(killed()))["errorType"] == "Runtime.ExitError"
        assert answer(sample.invoke("tick")) == {}
        assert kinds(all_of(sample, *[("slow", {"seconds": 0.01})] * 10)) == {"Invocation": 10}
        assert sample.reports == [
            "the zygote died (exit code -9) and its sandboxes with it; starting another",
        ]


def test_an_event_no_handler_has_seen_survives_the_zygote(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:
        zygote = newest_zygote()
        zygote.kill()
        assert kinds(all_of(sample, *[("tick", {})] * 5)) == {"Invocation": 5}


def test_a_stopped_zygote_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.sandbox.forks._FORK_SECONDS", 1.0)
    with lab(tmp_path) as sample:
        zygote = newest_zygote()
        zygote.suspend()
        assert answer(sample.invoke("tick")) == {}


def test_what_the_layers_require_is_imported_ahead(sample: Lab) -> None:
    assert answer(sample.invoke("trouble", {"kind": "modules"}))["six"] is True


def test_a_package_that_cannot_be_imported_ahead_is_reported(tmp_path: Path) -> None:
    project = copy_sample(tmp_path / "x")
    requirements = project / "layers" / "packages" / "requirements.txt"
    requirements.write_text("-r more.txt\nsix\n")
    requirements.with_name("more.txt").write_text("surely-not-installed==1.0 ; python_version > '3'\n")
    assert preload([requirements], []) == {
        "surely-not-installed": "PackageNotFoundError: No package metadata was found for surely-not-installed"
    }


def test_stopping_ends_every_process_also_one_in_a_session_of_its_own(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:
        answer(sample.invoke("tick"))
        log = sample.invoke("trouble", {"kind": "fork_and_leave"}).log
        left_behind = int(log.partition("left behind: ")[2].split()[0])
        zygote = newest_zygote()
        processes = [zygote, *zygote.children(recursive=True)]
        assert len(processes) >= 2
    assert not any(process.is_running() for process in processes)
    assert not psutil.pid_exists(left_behind)


@pytest.mark.skipif(bool(available()), reason=f"no walls on this machine: {available()}")
@pytest.mark.parametrize("end", ["recycle", "zygote", "fresh"])
def test_what_a_handler_left_in_a_session_of_its_own_ends_with_its_sandbox(tmp_path: Path, end: str) -> None:
    with lab(tmp_path, honest_cold=end == "fresh") as sample:
        done = sample.invoke("trouble", {"kind": "fork_and_leave", "stay": True})
        left_behind = int(done.log.partition("left behind: ")[2].split()[0])
        if end == "zygote":
            newest_zygote().kill()
        else:
            sample.recycle("trouble")
        sample.run(happened(lambda: not lives(left_behind)))


@pytest.mark.skipif(bool(available()), reason=f"no walls on this machine: {available()}")
def test_what_an_import_left_in_a_session_of_its_own_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.sandbox.sandbox._INIT_SECONDS", 1.0)
    with lab(tmp_path) as sample:
        with (sample.template.functions["trouble"].code / "handler.py").open("a") as handler:
            handler.write('\nfork_and_leave({"stay": True})\ntime.sleep(600)\n')
        done = sample.invoke("trouble")
        assert "timed out" in error(done)["errorMessage"]
        left_behind = int(done.log.partition("left behind: ")[2].split()[0])
        sample.run(happened(lambda: not lives(left_behind)))


def lives(pid: int) -> bool:
    """Whether it does something: without an init nobody may be there to bury it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_stopped_invoker_lets_what_runs_finish_and_refuses_the_rest(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:

        async def stopped() -> tuple[Invocation, BaseException]:
            running = asyncio.ensure_future(sample.invoker.invoke("slow", {"seconds": 0.3}, request_id="runs"))
            await at_work(sample, "runs")
            stopping = asyncio.ensure_future(sample.invoker.stop(grace=5))
            await asyncio.sleep(0)
            (late,) = await asyncio.gather(sample.invoker.invoke("tick", {}), return_exceptions=True)
            await stopping
            assert isinstance(late, BaseException)
            return await running, late

        finished, late = sample.run(stopped())
        assert "pid" in answer(finished)
        assert isinstance(late, Busy)


def test_stopping_while_sandboxes_start_leaves_none(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:

        async def stopped() -> list[Invocation | BaseException]:
            calls = [asyncio.ensure_future(sample.invoker.invoke("slow", {"seconds": 30})) for _ in range(8)]
            await asyncio.sleep(0)
            await sample.invoker.stop(grace=0)
            return await asyncio.gather(*calls, return_exceptions=True)

        zygote = newest_zygote()
        assert not any(isinstance(result, Invocation) and not result.function_error for result in sample.run(stopped()))
        assert not zygote.is_running()
        assert set(sample.invoker.sandboxes()["slow"].values()) == {0}


PARENT = """
import asyncio, sys
from pathlib import Path
from local.invoker import Invoker
from local.template import load

async def main():
    template = load(Path(sys.argv[1]), {"SECRET_KEY": sys.argv[3]})
    invoker = Invoker(template, logs=Path(sys.argv[2]), honest_cold=sys.argv[4] == "fresh")
    await invoker.start()
    await invoker.invoke("tick", {})
    loops = asyncio.ensure_future(invoker.invoke("slow", {"seconds": 60}))
    while not (log := Path(sys.argv[2], "slow.log")).exists() or "at work" not in log.read_text():
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await loops

asyncio.run(main())
"""


@pytest.fixture(params=["fork", "fresh"])
def parent(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[bytes]"]:
    project = copy_sample(tmp_path)
    arguments = [str(project / "template.yaml"), str(tmp_path / "logs"), SECRET, request.param]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, env=environment)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def test_no_process_outlives_a_killed_parent(parent: "subprocess.Popen[bytes]") -> None:
    children = psutil.Process(parent.pid).children(recursive=True)
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))


def test_it_runs_on_uvloop_too(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")
    with lab(tmp_path, loop_factory=uvloop.new_event_loop) as sample:
        assert answer(sample.invoke("tick", {"a": 1})) == {"a": 1}
        assert error(sample.invoke("trouble", {"kind": "end_process"}))["errorType"] == "Runtime.ExitError"
        assert json.loads(sample.http("GET", "/items").content)["event"]["rawPath"] == "/items"
