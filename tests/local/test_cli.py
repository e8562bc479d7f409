"""The command line without a running stack: what it prints, and what it says when something is missing."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from local import cli, template
from local.cloud import project
from local.verbs import invoke_event, tour
from local.verbs.requests import CannotBuild

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


def test_the_help_names_every_verb(facet: Facet) -> None:
    text = facet("--help").output
    stack = "up down status reset doctor env demo functions routes invoke logs".split()
    verbs = [*stack, *"migrate revision apikey token user task import-legacy".split()]
    assert [verb for verb in verbs if f"\n  {verb} " not in text] == []


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
