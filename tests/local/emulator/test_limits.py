"""Each limit of Lambda holds here, also for handlers that try to pass it."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.sandbox import walls
from local.sandbox.launcher import LaunchFailed
from tests.local.emulator.lab import Lab, answer, error, lab, unhurried

pytestmark = pytest.mark.skipif(bool(walls.available()), reason=f"no walls on this machine: {walls.available()}")


@pytest.fixture(scope="module", params=[False, True], ids=["fork", "fresh"])
def sample(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("sample"), honest_cold=request.param) as running:
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["fork", "fresh"])
def patient(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """For what has much to do."""
    with lab(tmp_path_factory.mktemp("patient"), honest_cold=request.param, edit=unhurried) as running:
        yield running


def tried(sample: Lab, kind: str, **event: Any) -> Any:
    return answer(sample.invoke("trouble", {"kind": kind, **event}))


@pytest.mark.parametrize("kind", ["match_for_ever", "sleep"])
def test_the_timeout_ends_also_what_does_not_listen(sample: Lab, kind: str) -> None:
    invocation = sample.invoke("trouble", {"kind": kind})
    assert error(invocation) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {invocation.request_id} Error: Task timed out after 1.00 seconds",
    }
    assert "Status: timeout" in str(invocation.report)


def test_the_report_tells_computing_from_waiting(sample: Lab) -> None:
    waited, computed = sample.invoke("trouble", {"kind": "sleep"}), sample.invoke("trouble", {"kind": "match_for_ever"})
    assert waited.report.cpu_ms is not None
    assert computed.report.cpu_ms is not None
    assert waited.report.cpu_ms < 50 < computed.report.cpu_ms  # of one second, which others may need, too
    quick = sample.invoke("trouble", {"kind": "compute", "seconds": 0.1})
    assert quick.report.cpu_ms is not None
    assert 100 <= quick.report.cpu_ms < 1000


def test_the_memory_of_a_handler_is_in_its_report_though_it_was_given_back(patient: Lab) -> None:
    patient.recycle("trouble")
    before = patient.invoke("trouble", {"kind": "log"}).report.max_memory_mb
    during = patient.invoke("trouble", {"kind": "allocate", "megabytes": 60}).report.max_memory_mb
    after = patient.invoke("trouble", {"kind": "log"}).report.max_memory_mb
    assert 55 <= during - before <= 62
    assert after == during


def test_the_memory_of_children_counts_too(tmp_path: Path) -> None:
    with lab(tmp_path, edit=unhurried) as sample:
        few = sample.invoke("trouble", {"kind": "log"}).report.max_memory_mb
        ended = sample.invoke("trouble", {"kind": "allocate_in_children", "megabytes": 70, "seconds": 50})
        assert "The memory limit of 128 MB was exceeded" in ended.log
        seen = sample.invoke("trouble", {"kind": "allocate_in_children", "megabytes": 30, "seconds": 1})
        assert seen.function_error is None
        assert 60 <= seen.report.max_memory_mb - few < 100


def test_shared_pages_count_too(patient: Lab) -> None:
    patient.recycle("trouble")
    few = patient.invoke("trouble", {"kind": "log"}).report.max_memory_mb
    assert 55 <= patient.invoke("trouble", {"kind": "share_pages", "megabytes": 60}).report.max_memory_mb - few <= 62
    ended = patient.invoke("trouble", {"kind": "share_pages", "megabytes": 200, "seconds": 50})
    assert ended.report.max_memory_mb >= 128


def test_the_packages_of_other_functions_are_in_no_ones_memory(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:
        assert sample.invoke("tick").report.max_memory_mb < 10


def test_a_thousand_small_events_do_not_seem_to_take_more_memory(sample: Lab) -> None:
    first = sample.invoke("tick").report.max_memory_mb
    last = [sample.invoke("tick") for _ in range(200)][-1].report
    assert last.max_memory_mb - first <= 2


def test_memory_that_passes_the_limit_too_shortly_to_be_seen_is_reported_as_the_limit(
    patient: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.sandbox.usage.Memory.over", lambda memory, limit_kb: 0)
    assert patient.invoke("trouble", {"kind": "allocate", "megabytes": 200}).report.max_memory_mb == 128
    patient.recycle("trouble")


def test_five_run_and_fifteen_are_told_to_come_again(tmp_path: Path) -> None:
    with lab(tmp_path, edit=lambda text: text.replace("Executions: 2", "Executions: 5")) as sample:

        async def all_at_once() -> list[httpx.Response]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(sample.app)) as client:
                calls = [client.get("http://localhost/fn/single/?0.5") for _ in range(20)]
                return await asyncio.gather(*calls)

        assert Counter(response.status_code for response in sample.run(all_at_once())) == {200: 5, 429: 15}


def test_tmp_is_the_sandboxes_own_of_the_templates_size_and_empty(sample: Lab) -> None:
    sample.recycle("trouble")
    assert tried(sample, "find", path="/tmp")["megabytes"] == 512
    assert tried(sample, "write", path="/tmp/mine", megabytes=1) == "written"
    assert "mine" in tried(sample, "find", path="/tmp")["names"]
    assert not Path("/tmp/mine").exists()
    sample.recycle("trouble")
    assert "mine" not in tried(sample, "find", path="/tmp")["names"]


def test_a_full_tmp_is_full(sample: Lab) -> None:
    assert tried(sample, "write", path="/tmp/much", megabytes=513) == "ENOSPC"


def test_the_template_can_ask_for_a_bigger_tmp(tmp_path: Path) -> None:
    bigger = "CodeUri: functions/trouble\n      EphemeralStorage: { Size: 1024 }\n"
    with lab(tmp_path, edit=lambda text: text.replace("CodeUri: functions/trouble\n", bigger)) as sample:
        assert tried(sample, "find", path="/tmp")["megabytes"] == 1024
        assert tried(sample, "write", path="/tmp/much", megabytes=1025) == "ENOSPC"


def test_nothing_else_can_be_written(sample: Lab) -> None:
    code = sample.template.functions["trouble"].code
    layer = sample.template.functions["echo"].layers[0]
    for folder in (code, code.parents[1], layer, Path.home(), Path(walls.__file__).parent, "/var/tmp", "/dev/shm", "/"):
        assert tried(sample, "write", path=f"{folder}/mark") == "EROFS", folder
    assert tried(sample, "write", path="/dev/null") in ("EINVAL", "ENODEV")  # opened; no device can be cut
    assert tried(sample, "share_memory") == "refused"


def test_nobody_can_undo_that_or_get_hold_of_other_processes(sample: Lab) -> None:
    assert tried(sample, "unlock") == ["EPERM", "EPERM"]
    assert tried(sample, "find", path="/tmp")["names"] is not None  # the zygote goes on


@pytest.mark.parametrize("honest_cold", [False, True])
def test_what_is_hidden_cannot_be_read_unless_it_is_the_functions_own(tmp_path: Path, honest_cold: bool) -> None:
    names = ["project/state", "project/.env", "project/functions/trouble/.env", "project/missing", "project/layers"]
    with lab(tmp_path, honest_cold=honest_cold, hidden=names) as sample:
        (tmp_path / "project" / "state").mkdir()
        for name in ("state/records.db", ".env", "functions/trouble/.env"):
            (tmp_path / "project" / name).write_text("secret")
        read = [tried(sample, "read", path=str(tmp_path / name)) for name in (f"{names[0]}/records.db", *names[1:4])]
        assert read == ["ENOENT", "", "secret", "ENOENT"]
        assert tried(sample, "find", path=str(tmp_path / "project" / "state"))["names"] == []
        assert tried(sample, "write", path=str(tmp_path / "project" / "state" / "mark")) == "EROFS"
        assert "calls" in answer(sample.invoke("echo"))  # its layer stays where it is, in what is hidden


def test_what_is_made_visible_can_be_written_too(sample: Lab) -> None:
    assert tried(sample, "write", path=str(sample.folder / "mark"), megabytes=0.5) == "written"
    assert (sample.folder / "mark").stat().st_size == 512 * 1024


def test_without_walls_a_sandbox_has_a_folder_of_its_own_with_a_limit_to_each_file(tmp_path: Path) -> None:
    with lab(tmp_path, walls=False) as sample:
        folder = Path(tried(sample, "name_temporary"))
        assert folder.is_dir()
        assert folder != Path("/tmp")
        assert tried(sample, "write", path=str(folder / "small"), megabytes=1) == "written"
        assert tried(sample, "write", path=str(folder / "big"), megabytes=513) == "EFBIG"
        sample.recycle("trouble")
        assert Path(tried(sample, "name_temporary")) != folder
    assert not folder.exists()


def test_a_machine_without_walls_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.invoker.available", lambda: "Operation not permitted")
    with lab(tmp_path) as sample:
        assert tried(sample, "write", path=str(Path(tried(sample, "name_temporary")) / "x")) == "written"
        assert sample.reports == [
            "functions can write outside of /tmp here, as they cannot in Lambda: Operation not permitted"
        ]


@pytest.mark.skipif(os.getuid() == 0, reason="the kernel limits root's processes nowhere")
def test_there_are_at_most_1024_processes_and_threads(tmp_path: Path) -> None:
    with lab(tmp_path, edit=lambda text: text.replace("Timeout: 1\n      MemorySize: 128", "Timeout: 60")) as sample:
        assert 1000 < tried(sample, "fork_many", most=1100) < 1024


def test_too_many_variables_are_a_warning_and_with_lambdas_limits_a_refusal(tmp_path: Path) -> None:
    def many(text: str) -> str:
        return text.replace("NUMBER: 12", f"NUMBER: {'1' * 4096}")

    with lab(tmp_path / "local", edit=many) as sample:
        assert [warning.partition(" AWS")[2] for warning in sample.template.warnings] == [" refuses more than 4,096"]
        assert answer(sample.invoke("echo"))["environment"]["NUMBER"] == "1" * 4096
    with (
        pytest.raises(LaunchFailed, match=r"The variables of echo have 4,\d+ bytes, Lambda allows 4,096"),
        lab(tmp_path / "lambda", edit=many, limits="lambda"),
    ):
        pass


def test_a_thread_left_behind_neither_delays_the_answer_nor_the_next(sample: Lab) -> None:
    assert tried(sample, "leave_a_thread") == "left"  # or its timeout would end it
    assert tried(sample, "log") == "ok"
