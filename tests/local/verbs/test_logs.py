"""`facet logs`: by time, without secrets, on through rotations and erasures."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from local import cli
from local.cloud.state import State
from local.invocation import Invocation
from local.logs import FunctionLog
from local.records.ring import Ring
from local.sandbox.report import Report
from local.verbs import log_view
from local.verbs.log_view import Wanted
from tests.stacks import until

Facet = Callable[..., Result]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setenv("FACET_STATE", str(tmp_path / "state"))
    (tmp_path / "template.yaml").touch()
    return State.open(tmp_path)


@pytest.fixture
def logs(state: State, tmp_path: Path) -> Facet:
    return lambda *arguments: CliRunner().invoke(
        cli.main, ["logs", *arguments, "--template", f"{tmp_path}/template.yaml"]
    )


def written(state: State, name: str, text: str) -> None:
    log = FunctionLog(state.log("functions").with_suffix("") / f"{name}.log")
    log.write(text)
    log.close()


def invocation(request_id: str, *lines: str, failed: bool = False) -> str:
    status = "\tStatus: error\tError Type: ValueError" if failed else ""
    text = "".join(f"{line}\n" for line in lines)
    end = f"END RequestId: {request_id}\nREPORT RequestId: {request_id}{status}"
    return f"START RequestId: {request_id} Version: $LATEST\n{text}{end}"


def noted(state: State, request_id: str, started: float, log: str = "") -> None:
    """As if it had been recorded."""
    ring = Ring(state.records)
    report = Report(request_id, 1.0, 128, 20)
    ring.add(Invocation(request_id, "one", b"{}", None, log, report, started=started))
    ring.close()


def stamped(ago: float, message: str) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - ago))
    return json.dumps({"ts": f"{at}.000+00:00", "level": "INFO", "message": message})


def test_functions_are_mixed_by_time(state: State, logs: Facet) -> None:
    written(state, "one", f"{invocation('a', 'first')}\n{invocation('c', 'third')}")
    written(state, "two", invocation("b", stamped(60, "second")))
    now = time.time()
    noted(state, "a", now - 90)
    noted(state, "c", now - 30)
    said = [line.split(": ", 1)[0] for line in logs().output.splitlines()]
    assert said == ["one"] * 4 + ["two"] * 4 + ["one"] * 4


def test_the_last_lines_are_those_of_all(state: State, logs: Facet) -> None:
    written(state, "one", "\n".join(f"line {number}" for number in range(100)))
    assert logs("one", "-n", "2").output == "line 98\nline 99\n"
    assert logs("-n", "1").output == "one: line 99\n"
    assert logs("-n", "0").output == ""
    assert len(logs().output.splitlines()) == 50


def test_errors_are_whole_invocations(state: State, logs: Facet) -> None:
    written(state, "one", f"{invocation('a', 'fine')}\n{invocation('b', 'wrong', failed=True)}")
    written(state, "two", invocation("c", "before", '{"level": "ERROR", "message": "handled"}'))
    said = logs("--errors").output
    assert ("wrong" in said, "before" in said, "handled" in said, "fine" in said) == (True, True, True, False)


def test_a_span_of_time_and_a_request_can_be_picked(state: State, logs: Facet) -> None:
    written(state, "one", f"{invocation('aa', stamped(7200, 'long ago'))}\n{invocation('ab', stamped(60, 'just now'))}")
    assert ("just now" in (said := logs("--since", "1h").output), "long ago" in said) == (True, False)
    assert ("long ago" in (said := logs("--request", "aa").output), "just now" in said) == (True, False)
    wrong = logs("--since", "yesterday")
    assert (wrong.exit_code, "such as 30s, 5m, 2h or 1d" in wrong.output) == (2, True)


def test_a_recorded_request_is_not_mixed_with_those_beside_it(state: State, logs: Facet) -> None:
    start, *rest = invocation("ab", "of ab").splitlines()
    written(state, "one", "\n".join([start, *invocation("cd", "of cd").splitlines(), *rest]))
    noted(state, "ab", time.time(), log=invocation("ab", "of ab"))
    assert logs("--request", "ab").output == "".join(f"one: {line}\n" for line in [start, *rest])


def test_json_has_a_line_each(state: State, logs: Facet) -> None:
    written(state, "one", invocation("a", "password=hunter2"))
    rows = [json.loads(line) for line in logs("--json").output.splitlines()]
    assert [row["line"] for row in rows][1] == "password=[redacted]"
    assert {row["source"] for row in rows} == {"one"}


def test_logs_of_services_lose_their_secrets_too(state: State, logs: Facet) -> None:
    state.log("postgres").write_text("connected as postgresql://facet:hunter2@localhost/facet\n")
    assert logs("postgres").output == "connected as postgresql://[redacted]@localhost/facet\n"


def test_a_printed_event_over_many_lines_loses_its_cookies(state: State, logs: Facet) -> None:
    event = json.dumps({"cookies": ["id=hunter2"], "headers": {"x-api-key": ["hunter2"]}}, indent=2)
    written(state, "one", invocation("a", event))
    assert "hunter2" not in logs().output


@pytest.fixture
def followed(state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The lines that `facet logs -f` writes meanwhile."""
    lines: list[str] = []
    ended = threading.Event()

    def pause(seconds: float) -> None:
        if ended.wait(0.01):
            raise KeyboardInterrupt

    def follow() -> None:
        try:
            log_view.show(state, None, Wanted(), follow=True, write=lines.append)
        except KeyboardInterrupt:
            return

    monkeypatch.setattr(log_view.time, "sleep", pause)  # type: ignore[attr-defined] # the module's own import
    written(state, "one", "before")
    reader = threading.Thread(target=follow)
    reader.start()
    try:
        until(lambda: lines, within=20, what="the last lines")
        yield lines
    finally:
        ended.set()
        reader.join()


def seen(lines: list[str], number: int) -> bool:
    return any(f"line {number} " in line for line in lines)


def test_following_goes_on_through_a_rotation(state: State, followed: list[str]) -> None:
    folder = state.log("functions").with_suffix("")
    log = FunctionLog(folder / "one.log", limit=200)
    for number in range(30):
        log.write(f"line {number} {'x' * 40}")
        until(partial(seen, followed, number), within=20, what="the line")
    log.close()
    written(state, "new", "another function")
    until(lambda: any("another" in line for line in followed), within=20, what="the new file")
    said = [line for line in followed if "line" in line]
    assert (folder / "one.log.1").exists()
    assert len(said) == len(set(said))
    assert "line 29" in said[-1]


def test_a_function_is_known_by_the_name_that_the_template_gives_it(state: State, logs: Facet, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(
        "Resources: {OneFunction: {Type: 'AWS::Serverless::Function',"
        " Properties: {CodeUri: ., Handler: app.main, FunctionName: shop-one}}}"
    )
    written(state, "one", invocation("one"))
    noted(state, "of-one", 1.0)
    for name in ("one", "shop-one", "OneFunction"):
        assert "START RequestId: one" in logs(name).output
        arguments = ["records", name, "--template", f"{tmp_path}/template.yaml"]
        assert "of-one" in CliRunner().invoke(cli.main, arguments).output


def test_what_a_function_printed_cannot_command_a_terminal(
    state: State, logs: Facet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = "\x1b]0;title\x07a\x1b[31mred\x1b[2Jb\x9bc\rd\x08\tend"
    noted(state, "one", 1.0, raw)
    written(state, "one", invocation("one", raw))
    assert "\x1b]0;" in logs("one", "--json").output.encode().decode("unicode_escape")
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)
    shown = CliRunner().invoke(cli.main, ["show", "one", "--template", f"{tmp_path}/template.yaml"]).output
    for text in (logs("one").output, shown):
        assert "aredbcd\tend" in text
    assert json.loads(logs("one", "--json").output.splitlines()[1])["line"] == raw
