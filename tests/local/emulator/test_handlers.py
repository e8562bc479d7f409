"""Whatever a handler does, its invoker gets Lambda's answer and the next invocation is served."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.local.emulator.lab import Lab, answer, error, lab, unhurried


@pytest.fixture(scope="module", params=[False, True], ids=["fork", "fresh"])
def sample(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("sample"), honest_cold=request.param) as running:
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["fork", "fresh"])
def patient(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """For what has much to do."""
    with lab(tmp_path_factory.mktemp("patient"), honest_cold=request.param, edit=unhurried) as running:
        yield running


def trouble(sample: Lab, kind: str, **event: Any) -> dict[str, Any]:
    """The error that the trouble ends in; the function must serve again afterwards."""
    found = error(sample.invoke("trouble", {"kind": kind, **event}))
    assert answer(sample.invoke("trouble", {"kind": "log"})) == "ok"
    return found


def harmless(sample: Lab, kind: str) -> Any:
    found = answer(sample.invoke("trouble", {"kind": kind}))
    assert answer(sample.invoke("trouble", {"kind": "log"})) == "ok"
    return found


def test_an_endless_loop_ends_with_the_timeout(sample: Lab) -> None:
    invocation = sample.invoke("trouble", {"kind": "loop"})
    assert error(invocation) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {invocation.request_id} Error: Task timed out after 1.00 seconds",
    }
    assert invocation.report.duration_ms >= 1000
    assert invocation.report.status == "timeout"
    assert f"looping\n{invocation.request_id} Task timed out after 1.00 seconds\nEND" in invocation.log
    assert answer(sample.invoke("trouble", {"kind": "log"})) == "ok"


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("end_process", "Runtime exited with error: exit status 3"),
        ("signal_self", "Runtime exited with error: signal: segmentation fault"),
        ("raise_exit", "Runtime exited with error: exit status 4"),
        ("raise_quiet_exit", "Runtime exited without providing a reason"),
        ("raise_interrupt", "Runtime exited with error: exit status 1"),
    ],
)
def test_a_process_that_ends_is_an_exit_error_with_its_cause(sample: Lab, kind: str, cause: str) -> None:
    found = trouble(sample, kind)
    assert found["errorType"] == "Runtime.ExitError"
    assert found["errorMessage"].endswith(f"Error: {cause}")


def test_what_was_printed_before_a_crash_is_in_the_log(sample: Lab) -> None:
    assert "about to end" in sample.invoke("trouble", {"kind": "end_process"}).log


def test_a_fork_that_returns_twice_answers_once(sample: Lab) -> None:
    assert harmless(sample, "fork_and_return") == {"child": False}


def test_an_end_is_noticed_though_a_grandchild_keeps_the_descriptors(sample: Lab) -> None:
    invocation = sample.invoke("trouble", {"kind": "fork_and_leave"})
    assert error(invocation)["errorType"] == "Runtime.ExitError"
    left = int(invocation.log.split("left behind: ")[1].split()[0])
    with contextlib.suppress(psutil.NoSuchProcess):  # in a session of its own nothing but its number finds it
        psutil.Process(left).kill()


def test_closed_streams_hurt_nobody(sample: Lab) -> None:
    assert harmless(sample, "close_streams") == "closed"


@pytest.mark.parametrize("kind", ["close_descriptors", "write_into_descriptors"])
def test_a_handler_that_spoils_our_socket_ends_its_own_sandbox_only(sample: Lab, kind: str) -> None:
    assert trouble(sample, kind)["errorType"] == "Runtime.ExitError"


_ENDED = '{"max_memory_kb": 1, "files": [], "cpu_ms": 1, "calls": {}}'


@pytest.mark.parametrize(
    ("kind_of_frame", "header", "times"),
    [
        ("D", "{}", 1),
        ("D", "[]", 1),
        ("D", "[" * 9000, 1),
        ("D", _ENDED.replace("[]", "7"), 1),
        ("B", '{"began": 1, "cpu_ms": 1}', 1),
        ("Z", "{}", 1),
        ("S", "{}", 9),
    ],
)
def test_a_forged_frame_ends_the_sandbox_it_comes_from(
    sample: Lab, kind_of_frame: str, header: str, times: int
) -> None:
    found = trouble(sample, "forge", kind_of_frame=kind_of_frame, header=header, times=times)
    assert found["errorType"] == "Runtime.ExitError"


def test_a_forged_result_is_the_result_of_no_other_invocation(sample: Lab) -> None:
    forged = sample.invoke("trouble", {"kind": "forge", "kind_of_frame": "D", "header": _ENDED, "body": '"forged"'})
    assert answer(forged) == "forged"
    assert [answer(sample.invoke("trouble", {"kind": "log"})) for _ in range(3)] == ["ok"] * 3


def test_megabytes_of_output_pass_and_the_end_of_them_is_kept(patient: Lab) -> None:
    invocation = patient.invoke("trouble", {"kind": "print_megabytes"})
    assert answer(invocation) == "printed"
    assert len(invocation.log) < 300_000
    assert "no newline at the end\nEND" in invocation.log


def test_bytes_are_handed_on_as_they_are(sample: Lab) -> None:
    assert sample.invoke("trouble", {"kind": "give_bytes"}).payload == b"\x00\xff"


def test_what_is_no_number_is_passed_on_as_aws_does(sample: Lab) -> None:
    assert sample.invoke("trouble", {"kind": "give_nan"}).payload == b'{"value": NaN}'


def test_a_result_that_is_no_json_is_a_marshal_error(sample: Lab) -> None:
    found = trouble(sample, "give_object")
    assert found["errorType"] == "Runtime.MarshalError"
    assert found["errorMessage"].startswith("Unable to marshal response: ")


def test_a_result_over_the_limit_is_refused_by_its_size(patient: Lab) -> None:
    assert trouble(patient, "give_much") == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (20971520 bytes).",
    }


def test_an_exception_is_the_four_key_error_with_the_handlers_own_frames(sample: Lab) -> None:
    invocation = sample.invoke("trouble", {"kind": "raise_error"})
    found = error(invocation)
    trace = found.pop("stackTrace")
    assert found == {
        "errorMessage": "nothing found",
        "errorType": "LookupError",
        "requestId": invocation.request_id,
    }
    assert ["in app" in trace[0], "in raise_error" in trace[-1], len(trace)] == [True, True, 2]
    assert "[ERROR] LookupError: nothing found\nTraceback" in invocation.log


def test_an_exception_that_cannot_say_what_it_is_ends_the_sandbox(sample: Lab) -> None:
    assert trouble(sample, "raise_unprintable")["errorType"] == "Runtime.ExitError"


def test_endless_recursion_is_an_error_like_any_other(patient: Lab) -> None:
    assert trouble(patient, "recurse")["errorType"] == "RecursionError"


def test_memory_over_the_limit_ends_the_sandbox_and_says_so(patient: Lab) -> None:
    invocation = patient.invoke("trouble", {"kind": "allocate", "megabytes": 300, "seconds": 50})
    assert error(invocation)["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert "The memory limit of 128 MB was exceeded" in invocation.log
    assert invocation.report.max_memory_mb >= 128


def test_the_report_has_the_peak_of_memory(patient: Lab) -> None:
    patient.recycle("trouble")
    before = patient.invoke("trouble", {"kind": "log"}).report.max_memory_mb
    after = patient.invoke("trouble", {"kind": "allocate", "megabytes": 60}).report.max_memory_mb
    assert 55 <= after - before <= 75


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (
            "broken_import",
            "Runtime.ImportModuleError",
            "Unable to import module 'handler': No module named 'a_package_that_does_not_exist'",
        ),
        ("no_handler", "Runtime.HandlerNotFound", "Handler 'app' missing on module 'handler'"),
        ("raises_at_import", "ValueError", "bad setting"),
    ],
)
def test_a_function_that_cannot_be_imported_says_why(sample: Lab, function: str, kind: str, message: str) -> None:
    found = error(sample.invoke(function))
    assert (found["errorType"], found["errorMessage"]) == (kind, message)
    assert set(found) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert not any("/local/" in frame and "bootstrap" in frame for frame in found["stackTrace"])


def test_a_syntax_error_names_file_and_line(sample: Lab) -> None:
    found = error(sample.invoke("broken_syntax"))
    assert found["errorType"] == "Runtime.UserCodeSyntaxError"
    assert "handler.py" in found["stackTrace"][0]
    assert "Line 1" in found["stackTrace"][0]


def test_a_process_that_ends_while_importing_is_an_exit_error(sample: Lab) -> None:
    assert error(sample.invoke("dies_at_import"))["errorMessage"].endswith("exit status 7")


def test_a_mended_function_is_served_without_a_restart(sample: Lab) -> None:
    handler = sample.template.functions["broken_syntax"].code / "handler.py"
    broken = handler.read_text()
    handler.write_text("def app(event, context):\n    return 'mended'\n")
    try:
        assert answer(sample.invoke("broken_syntax")) == "mended"
    finally:
        handler.write_text(broken)
        sample.recycle("broken_syntax")


def test_printing_and_logging_look_as_in_lambda(sample: Lab) -> None:
    invocation = sample.invoke("trouble", {"kind": "log"})
    lines = invocation.log.splitlines()
    assert lines[0] == f"START RequestId: {invocation.request_id} Version: $LATEST"
    assert lines[1] == "printed line"
    level, _, request_id, message = lines[2].split("\t")
    assert (level, request_id, message) == ("[WARNING]", invocation.request_id, "logged line")
    assert lines[3] == f"END RequestId: {invocation.request_id}"
    assert lines[4].startswith(f"REPORT RequestId: {invocation.request_id}\tDuration: ")


def test_a_handler_sees_its_own_environment_and_nothing_of_ours(sample: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = answer(sample.invoke("echo", {"a": 1}))
    code = sample.template.functions["echo"].code
    assert seen["event"] == {"a": 1}
    assert seen["greeting"] == "hello from a layer"
    assert (seen["folder"], seen["path"][0]) == (str(code), str(code))
    assert seen["path"][1] == str(code.parents[1] / "layers" / "greeting" / "python")
    assert str(Path(__file__).parents[3]) not in seen["path"]
    assert seen["module"] == "functions.echo.handler"
    assert (seen["function"], seen["memory"]) == ("echo", "256")
    assert 0 < seen["remaining_ms"] <= 5000
    assert seen["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:echo"
    given = seen["environment"]
    assert {"GREETING", "SECRET_KEY", "STAGE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION"} <= set(given)
    assert given["TZ"] == ":UTC"
    assert not {"HOME", "PYTHONPATH", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & set(given)


def test_what_an_import_prints_comes_before_the_start(sample: Lab) -> None:
    request_id = sample.invoke("raises_at_import").request_id
    log = sample.log("raises_at_import")
    assert 0 <= log.rindex("importing") < log.index(f"START RequestId: {request_id}")


def test_there_is_nothing_to_read_from(sample: Lab) -> None:
    assert harmless(sample, "read_input") == ""


def test_our_own_modules_are_not_to_be_seen(sample: Lab) -> None:
    assert answer(sample.invoke("trouble", {"kind": "modules"}))["local"] == []
