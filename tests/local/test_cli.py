"""The command line without a running stack: what it prints, and what it says when something is missing."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from local import cli, template
from local.cloud import project
from local.services.process import LOG_LIMIT
from local.verbs import invoke_event, tour
from local.verbs.requests import CannotBuild
from tests.local.cloud.terminal import terminal

ROOT = Path(__file__).parents[2]
Facet = Callable[..., Result]


@pytest.fixture
def facet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facet:
    monkeypatch.setenv("FACET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FACET_ENV_FILE", str(tmp_path / ".env"))
    monkeypatch.chdir(ROOT)
    return lambda *arguments: CliRunner().invoke(cli.main, arguments)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A project that knows nothing of avatars."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/app.py").write_text("def handler(event, context):\n    return event\n")
    template = tmp_path / "template.yaml"
    template.write_text(
        """
Transform: AWS::Serverless-2016-10-31
Resources:
  EchoFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src
      Handler: app.handler
      Runtime: python3.13
      Events:
        Any: { Type: HttpApi, Properties: { Method: POST, Path: "/echo/{name}" } }
  QuietFunction:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: src, Handler: app.handler, Runtime: python3.13 }
"""
    )
    return template


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every verb that does something, below groups such as `queue` too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


VERBS = {" ".join(path): command for path, command in commands(cli.main)}
PRINTS_JSON_ANYWAY = {
    "invoke",
    "deploy urls",
    "schedule run",
    "migrate",
    *(name for name in VERBS if name.startswith("event ")),
}
PRINTS_NO_DATA = {
    *("up", "down", "reset", "vscode", "save", "revision", "completion", "apikey revoke", "task fail", "task requeue"),
    *(f"user {verb}" for verb in ("enable", "disable", "set-password", "test-mode")),
}


def test_the_help_names_every_verb_in_its_section_and_the_exit_codes(facet: Facet) -> None:
    text = facet("--help").output
    for title, modules in cli.Verbs.sections.items():
        section = text.partition(f"\n{title}:\n")[2].partition("\n\n")[0]
        for name in (name for names in modules.values() for name in names):
            assert f"  {name} " in section
    assert "..." not in text.partition("The stack:")[2]  # each says what it is for in one line of 80 characters
    for code in (0, 1, 2, 130):
        assert f"\n    {code} " in text


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_a_verb_shows_how_it_is_called_and_explains_every_option(facet: Facet, name: str) -> None:
    said = facet(*name.split(), "--help").output.partition("\n")[2].partition("Options:")[0]
    assert f"facet {name}" in said
    options = [option for option in VERBS[name].params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", sorted(VERBS.keys() - PRINTS_JSON_ANYWAY - PRINTS_NO_DATA))
def test_a_verb_that_prints_data_prints_it_for_scripts_too(name: str) -> None:
    assert "--json" in [each for option in VERBS[name].params for each in option.opts]


def piped(command: str, state: Path) -> "subprocess.CompletedProcess[str]":
    """What a shell makes of the command, in which `$facet` is this one."""
    environment = {**os.environ, "FACET_STATE": str(state), "facet": f"{sys.executable} -m local"}
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    done = piped("$facet routes | head -n 1", tmp_path)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    assert piped("$facet functions --json | true", tmp_path).stderr == ""


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A state in which a function has logged an error."""
    (tmp_path / "logs/functions").mkdir(parents=True)
    (tmp_path / "logs/functions/echo.log").write_text("[ERROR] it is broken\n")
    return tmp_path


def test_what_goes_through_a_pipe_is_plain(logged: Path) -> None:
    for verb in ("--help", "doctor", "logs"):
        done = piped(f"$facet {verb} | cat", logged)
        assert done.stdout
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_for_terminals_and_for_who_wants_them(logged: Path, no_color: str) -> None:
    environment = {**os.environ, "FACET_STATE": str(logged), "TERM": "xterm", "NO_COLOR": no_color}
    with terminal([sys.executable, "-m", "local", "logs"], cwd=ROOT, env=environment) as shown:
        assert shown.ended() == 0
    assert "it is broken" in shown.raw
    assert ("\x1b[" in shown.raw) is not bool(no_color)


def test_an_argument_that_is_no_text_is_refused(facet: Facet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["facet", "token", "\udcff"])
    refused = facet("token", "\udcff")
    assert (refused.exit_code, "is not UTF-8" in refused.output) == (2, True)


@pytest.mark.parametrize("verb", [("create", "kiosk"), ("list",)])
def test_an_empty_user_does_not_mean_everybody(facet: Facet, verb: tuple[str, ...]) -> None:
    refused = facet("apikey", *verb, "--user", "")
    assert (refused.exit_code, "is empty" in refused.output) == (2, True)


def test_functions_and_routes_need_no_running_stack(facet: Facet) -> None:
    functions = {row["name"]: row for row in json.loads(facet("functions", "--json").output)}
    assert functions["create_task"]["url"] is None
    assert functions["migrate"]["trigger"] == "invoked by an operator"
    assert functions["consume_results"]["trigger"] == "queue generation_task_results"
    routes = {(row["method"], row["path"]): row["function"] for row in json.loads(facet("routes", "--json").output)}
    assert routes["POST", "/api/v1/3d-model-generation/tasks"] == "create_task"
    assert "create_task" in facet("functions").output
    assert "/api/v1/users/registration" in facet("routes").output


def test_env_is_written_once(facet: Facet, tmp_path: Path) -> None:
    assert "Wrote" in facet("env").output
    secrets = (tmp_path / ".env").read_text()
    assert "left alone" in facet("env").output
    assert (tmp_path / ".env").read_text() == secrets


def test_status_of_nothing_ends_with_1(facet: Facet) -> None:
    human, script = facet("status"), facet("status", "--json")
    assert (human.exit_code, script.exit_code) == (1, 1)
    assert "Start it with `facet up`" in human.output
    assert json.loads(script.output) == {"ready": False, "running": False}


def test_down_of_nothing_is_fine(facet: Facet) -> None:
    result = facet("down")
    assert (result.exit_code, result.output) == (0, "Facet was not running.\n")


def test_reset_erases_the_data_and_keeps_the_servers(facet: Facet, tmp_path: Path) -> None:
    data, logs = tmp_path / "state/data/postgres", tmp_path / "state/logs"
    for folder in (data, logs):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    assert facet("reset", "--yes").exit_code == 0
    assert not data.exists()
    assert not logs.exists()


def test_reset_asks_first(facet: Facet, tmp_path: Path) -> None:
    data = tmp_path / "state/data"
    data.mkdir(parents=True)
    assert facet("reset").exit_code == 1  # standard input is empty: nobody said yes
    assert data.exists()


def test_outside_a_project_it_says_where_it_looked(
    facet: Facet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = facet("functions")
    assert result.exit_code == 1
    assert f"no template.yaml in {tmp_path}" in result.output
    assert "Traceback" not in result.output


def test_a_template_that_is_not_there_is_named(facet: Facet, tmp_path: Path) -> None:
    assert f"no template at {tmp_path / 'x.yaml'}" in facet("up", "--template", str(tmp_path / "x.yaml")).output


def test_the_doctor_tells_what_is_there_and_what_is_not(facet: Facet) -> None:
    findings = {finding["name"]: finding for finding in json.loads(facet("doctor", "--json").output)}
    assert findings["settings"]["advice"].startswith("`make env`")
    assert findings["stack"]["detail"] == "not running"
    assert "39 functions" in findings["template"]["detail"]
    assert "FAIL" not in facet("doctor").output


def test_the_doctor_fails_on_secrets_open_to_others(facet: Facet, tmp_path: Path) -> None:
    facet("env")
    (tmp_path / ".env").chmod(0o644)
    result = facet("doctor")
    assert result.exit_code == 1
    assert f"chmod 600 {tmp_path / '.env'}" in result.output


def test_logs_of_an_unknown_name_list_the_known_ones(facet: Facet, tmp_path: Path) -> None:
    folder = tmp_path / "state/logs/functions"
    folder.mkdir(parents=True)
    (folder / "echo.log").write_text("one\ntwo\n")
    assert "There are: echo" in facet("logs", "nope").output
    assert facet("logs", "echo", "-n", "1").output == "two\n"
    assert facet("logs").output == "echo: one\necho: two\n"


def test_invoke_of_an_unknown_function_lists_the_known_ones(facet: Facet, sample: Path) -> None:
    assert "There are: echo, quiet" in facet("invoke", "nope", "--template", str(sample)).output


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["echo"], "give the whole path with --path"),
        (["echo", "--method", "GET", "--path", "/x"], "It has: POST /echo/{name}"),
        (["echo", "--path", "/echo/a", "-H", "nonsense"], "NAME: VALUE"),
        (["echo", "--path", "/echo/a", "--file", "nowhere.jpg"], "No such file"),
        (["quiet", "--body", "{"], "--body is no JSON"),
    ],
)
def test_wrong_options_are_told_apart(facet: Facet, sample: Path, arguments: list[str], advice: str) -> None:
    result = facet("invoke", *arguments, "--template", str(sample))
    assert result.exit_code == 1
    assert advice in result.output


def test_what_needs_the_stack_says_how_to_start_it(facet: Facet) -> None:
    for verb in (["token", "a@example.com"], ["apikey", "create", "x"], ["demo", "tests/data/cat.png"]):
        result = facet(*verb)
        assert result.exit_code == 1
        assert "Start it with `facet up`" in result.output


def test_a_broken_env_is_named_by_line(facet: Facet, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_KEY=x\nnot a setting\n")
    (tmp_path / ".env").chmod(0o600)
    assert "line 2, is not NAME=value" in facet("doctor").output


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("APP_PORT", "abc", "APP_PORT is 'abc'"),
        ("APP_PORT", "99999", "APP_PORT 99999"),
        ("APP_HOST", "nowhere.invalid", "APP_HOST nowhere.invalid"),
        ("RABBITMQ_PORT", "x", "RABBITMQ_PORT is 'x'"),
        ("FACET_STATE", "/proc/nothing", "FACET_STATE may name another"),
    ],
)
def test_a_wrong_setting_is_named_without_a_traceback(
    facet: Facet, sample: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    part = "triggers" if name == "RABBITMQ_PORT" else "functions"
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("SECRET_KEY", "x" * 32)
    result = facet("up", "--only", part, "--template", str(sample))
    assert result.exit_code == 1
    assert text in result.output
    assert "Traceback" not in result.output


def test_a_url_without_routes_takes_any_request(tmp_path: Path, sample: Path) -> None:
    text = sample.read_text().replace(
        "{ CodeUri: src, Handler: app.handler, Runtime: python3.13 }",
        "{ CodeUri: src, Handler: app.handler, Runtime: python3.13, FunctionUrlConfig: { AuthType: NONE } }",
    )
    sample.write_text(text)
    given: dict[str, Any] = {"event_file": None, "body": None, "photo": None, "headers": (), "method": "DELETE"}
    event = invoke_event.build(project.find(sample), "quiet", path="/x?a=1", shape="furl", **given)
    assert (event["rawPath"], event["rawQueryString"]) == ("/x", "a=1")
    assert event["requestContext"]["http"]["method"] == "DELETE"


def test_a_schedule_and_a_queue_get_the_events_of_their_triggers() -> None:
    given: dict[str, Any] = {"event_file": None, "photo": None, "headers": (), "method": None, "path": None}
    facet = project.find(start=ROOT)
    event = invoke_event.build(facet, "relay_outbox", body=None, shape="furl", **given)
    assert event["detail-type"] == "Scheduled Event"
    event = invoke_event.build(facet, "consume_results", body='{"a": 1}', shape="furl", **given)
    (record,) = event["rmqMessagesByQueue"]["generation_task_results::/"]
    assert base64.b64decode(record["data"]) == b'{"a": 1}'
    with pytest.raises(CannotBuild, match="with --body"):
        invoke_event.build(facet, "consume_results", body=None, shape="furl", **given)


def test_a_misspelt_function_type_is_a_warning(sample: Path) -> None:
    sample.write_text(sample.read_text().replace("AWS::Serverless::Function", "AWS::Serverles::Function", 1))
    assert template.load(sample).warnings == ["EchoFunction: AWS::Serverles::Function is not emulated"]


def test_the_demo_looks_at_the_size_first(tmp_path: Path) -> None:
    photo = tmp_path / "big.jpg"
    with photo.open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(tour.DemoFailed, match="at most 10,485,760"):
        tour.run("http://localhost:9", photo, tmp_path / "a.glb", timeout=1, progress=lambda stage, share: None)


def test_routes_and_events_follow_the_settings(facet: Facet, tmp_path: Path) -> None:
    facet("env")
    with (tmp_path / ".env").open("a") as env:
        env.write("PATH_PREFIX=/v9\n")
    assert "/v9/users/registration" in facet("routes").output
    given: dict[str, Any] = {"event_file": None, "photo": None, "headers": (), "method": None, "path": None}
    event = invoke_event.build(project.find(start=ROOT), "register_user", body="{}", shape="furl", **given)
    assert event["rawPath"] == "/v9/users/registration"


@pytest.mark.usefixtures("facet")
def test_the_reason_why_a_detached_stack_ended_is_told_once(sample: Path, tmp_path: Path) -> None:
    log = tmp_path / "state/logs/up.log"
    log.parent.mkdir(parents=True)
    with log.open("w") as file:
        file.truncate(LOG_LIMIT + 1)
    arguments = ["up", "--detach", "--only", "functions", "--debug", "quite", "--template", str(sample)]
    result = subprocess.run([sys.executable, "-m", "local", *arguments], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "Error: There is no function quite to debug. There are: echo, quiet. Did you mean quiet?\n"
    assert "Error" not in result.stdout
    assert log.stat().st_size < LOG_LIMIT < log.with_name("up.log.1").stat().st_size
