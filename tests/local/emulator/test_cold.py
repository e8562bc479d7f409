"""Sandboxes that are made ahead, made honestly, made for one call, or made to live through a moment again."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.invocation import Invocation
from local.sandbox.how import How
from local.sandbox.sandbox import Sandbox
from tests.local.emulator.lab import Lab, answer, error, lab

CLOCK = """
import time
from datetime import datetime

made = time.time()

def app(event, context):
    exact = [made, time.time(), context.get_remaining_time_in_millis()] if event.get("exact") else []
    return {"date": datetime.now().isoformat(timespec="seconds"), "time": int(time.time()), "exact": exact}
"""
IMPORTS = """
import json
import light

def app(event, context):
    return json.dumps(event)
"""
LIGHT = "import time; import heavy; import six; time.sleep(0.2)"
HEAVY = "import time; time.sleep(0.6)"


def write(sample: Lab, **files: str) -> None:
    """New modules for the function tick."""
    for name, text in files.items():
        (sample.template.functions["tick"].code / f"{name}.py").write_text(text)


def once(sample: Lab, name: str, event: dict[str, Any], how: How) -> Invocation:
    return sample.run(sample.invoker.invoke(name, event, how=how))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_call_can_have_a_fresh_interpreter_of_its_own(sample: Lab) -> None:
    warm = answer(sample.invoke("echo"))
    fresh = once(sample, "echo", {"a": 1}, How(fresh=True))
    assert (answer(fresh)["event"], answer(fresh)["calls"]) == ({"a": 1}, 1)
    assert fresh.report.cold
    assert not psutil.pid_exists(answer(fresh)["pid"])
    again = answer(sample.invoke("echo"))
    assert (again["pid"], again["calls"]) == (warm["pid"], warm["calls"] + 1)


def test_fresh_calls_do_not_wait_for_the_sandboxes_of_the_function(sample: Lab) -> None:
    async def play() -> list[Invocation]:
        calls = [sample.invoker.invoke("single", {"seconds": 0.2}, how=How(fresh=number > 1)) for number in range(4)]
        return await asyncio.gather(*calls)

    assert len({answer(each)["pid"] for each in sample.run(play())}) == 4


def test_a_cold_report_names_the_packages_that_took_long_to_import(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:
        write(sample, handler=IMPORTS, light=LIGHT, heavy=HEAVY)
        report = once(sample, "tick", {}, How(fresh=True)).report
        assert [each.module for each in report.imports[:2]] == ["heavy", "light"]  # each without the other
        assert 600 <= report.imports[0].ms < 6000
        assert {"json", "six", "time"} <= {each.module for each in report.imports}
        assert f"\tImports: heavy {report.imports[0].ms:.0f} ms, light {report.imports[1].ms:.0f} ms" in str(report)
        assert sample.invoke("tick").report.imports
        assert not sample.invoke("tick").report.imports


def test_the_files_that_a_sandbox_has_imported_are_known_and_no_others(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:
        write(sample, handler="import six\ndef app(event, context):\n    import light\n", light="")
        code = sample.template.functions["tick"].code
        seen: list[frozenset[Path]] = []
        invoke = Sandbox.invoke

        async def spied(sandbox: Sandbox, *arguments: Any, **options: Any) -> Any:
            seen.append(sandbox.files)
            outcome = await invoke(sandbox, *arguments, **options)
            seen.append(sandbox.files)
            return outcome

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Sandbox, "invoke", spied)
            sample.invoke("tick")
        assert seen == [frozenset({code / "handler.py"}), frozenset({code / "handler.py", code / "light.py"})]


def test_honest_cold_starts_have_an_interpreter_of_their_own_and_warm_ones_follow(tmp_path: Path) -> None:
    with lab(tmp_path, honest_cold=True) as sample:
        parents = {psutil.Process(answer(sample.invoke("echo"))["pid"]).ppid() for _ in range(2)}
        assert parents == {psutil.Process().pid}
        assert answer(sample.invoke("echo"))["calls"] == 3


def test_a_replay_at_the_moment_of_a_call_gives_the_same_bytes(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:
        write(sample, handler=CLOCK)
        calls = iter(lambda: sample.invoke("tick"), None)
        call = next(call for call in calls if answer(call)["time"] == int(call.began))  # within one second
        replay = once(sample, "tick", {}, How(frozen_at=call.began))
        assert (replay.payload, replay.began) == (call.payload, call.began)
        exact = [once(sample, "tick", {"exact": True}, How(frozen_at=call.began)).payload for _ in range(2)]
        assert exact[0] == exact[1]
        assert json.loads(exact[0])["exact"] == [call.began, call.began, 5000]


def test_what_is_provisioned_is_imported_before_the_first_event_and_after_it_is_lost(tmp_path: Path) -> None:
    provisioned = (
        "CodeUri: functions/tick\n      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 3 }\n"
    )
    with lab(tmp_path, edit=lambda text: text.replace("CodeUri: functions/tick\n", provisioned)) as sample:
        assert sample.template.warnings == []
        three = {"idle": 3, "sandboxes": 3, "waiting": 0}
        sample.run(until(lambda: sample.invoker.sandboxes().get("tick") == three))
        first = sample.invoke("tick")
        assert (first.report.cold, first.report.imports) == (False, ())
        sample.recycle("tick")
        sample.run(until(lambda: sample.invoker.sandboxes()["tick"] == three))
        assert set(sample.invoker.sandboxes()) == {"tick"}


def test_a_provisioned_function_that_cannot_be_imported_says_so_when_it_is_invoked(tmp_path: Path) -> None:
    broken = "CodeUri: functions/broken_import, ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 1},"
    with lab(tmp_path, edit=lambda text: text.replace("CodeUri: functions/broken_import,", broken)) as sample:
        log = sample.folder / "logs" / "broken_import.log"
        sample.run(until(lambda: log.exists() and "a_package_that_does_not_exist" in log.read_text()))
        assert error(sample.invoke("broken_import"))["errorType"] == "Runtime.ImportModuleError"


def test_the_client_context_of_a_call_reaches_the_handler_and_no_other_call(sample: Lab) -> None:
    context = {"custom": {"a": "b"}, "client": {"app_title": "t"}}
    assert answer(once(sample, "echo", {}, How(client_context=json.dumps(context))))["client_context"] is not None
    assert answer(sample.invoke("echo"))["client_context"] is None
