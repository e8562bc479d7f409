"""Events that are printed are events of their source, to Facet's own detectors too; wrong ones are told by field."""

import base64
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from facet.events import request_from, shape
from facet.messages import is_batch, messages_from
from local import cli
from local.events import SHAPES, HttpRequest, RmqMessage, Shape, cloud_event, event_for, rmq_event, schedule_event
from local.events.check import InvalidEvent, check

Edit = Callable[[dict[str, Any]], object]
TIME = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
REQUEST = HttpRequest("POST", "/a", "q=1", (("host", "localhost"), ("x-a", "1")), b"{}", time=TIME)


def facet(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli.main, ["event", *arguments], input=given)


def printed(*arguments: str) -> Any:
    result = facet(*arguments)
    assert result.exit_code == 0, result.output
    checked = facet("check", "-", given=result.output)
    assert checked.exit_code == 0, checked.output
    return json.loads(result.output)


@pytest.mark.parametrize(
    ("source", "detected"),
    [
        (["furl"], "furl"),
        (["http-api"], "furl"),
        (["rest"], "rest"),
        (["alb"], "alb"),
        (["alb", "--multi-value"], "alb"),
    ],
)
def test_an_http_event_carries_the_request_of_its_options(source: list[str], detected: str, tmp_path: Path) -> None:
    body = tmp_path / "body.bin"
    body.write_bytes(b"\xff\x00")
    event = printed(
        *source,
        *("--method", "put", "--path", "/a%2Fb/ü?x=1", "--query", "y=a+b", "--header", "X-A:  two words "),
        *("--cookie", "a=1", "--cookie", "b=2", "--body", f"@{body}"),
    )
    assert shape(event) == detected
    request = request_from(event)
    assert (request.method, request.path, request.body) == ("PUT", "/a%2Fb/%C3%BC", b"\xff\x00")
    assert request.query == (("x", "1"), ("y", "a b"))
    assert (request.headers["x-a"], request.cookies) == ("two words", {"a": "1", "b": "2"})
    assert request.headers["content-type"] == "application/octet-stream"


def test_an_upload_is_a_form(tmp_path: Path) -> None:
    photo = tmp_path / "me.jpg"
    photo.write_bytes(b"\xff\xd8\xff")
    request = request_from(printed("furl", "--file", f"photo={photo}"))
    assert (request.method, request.headers["content-type"].partition(";")[0]) == ("POST", "multipart/form-data")
    assert b'name="photo"; filename="me.jpg"' in request.body
    assert b"\xff\xd8\xff" in request.body


def test_a_stage_stands_before_the_path_of_the_context() -> None:
    event = printed("rest", "--path", "/x", "--stage", "live")
    assert (event["path"], event["requestContext"]["path"], event["requestContext"]["stage"]) == (
        "/x",
        "/live/x",
        "live",
    )


def test_a_batch_has_the_messages_of_its_options() -> None:
    options = ["--queue", "results", "--vhost", "facet", "--header", "source=agent", "--redelivered", "--count", "2"]
    event = printed("rmq", *options, "--body", '{"a": 1}')
    assert is_batch(event)
    messages = messages_from(event)
    assert [(m.queue, m.vhost, m.body, m.redelivered) for m in messages] == [
        ("results", "facet", b'{"a": 1}', True)
    ] * 2
    assert {m.content_type for m in messages} == {"application/json"}
    assert messages[0].headers == {"source": "agent"}
    assert messages[0].message_id != messages[1].message_id


@pytest.mark.parametrize(("option", "source"), [([], "aws.events"), (["--scheduler"], "aws.scheduler")])
def test_a_schedule_has_its_time(option: list[str], source: str) -> None:
    event = printed("schedule", "--name", "nightly", "--at", "2027-01-01T00:59:00+01:00", *option)
    assert (event["time"], event["source"]) == ("2026-12-31T23:59:00Z", source)


def test_a_cloud_event_is_one_message() -> None:
    source = "/apis/v1/namespaces/default/rabbitmqsources/agents#results"
    event = printed("cloudevent", "--type", "made", "--source", source, "--subject", "s", "--body", '{"a": 1}')
    (message,) = messages_from(event)
    assert (message.type, message.queue, json.loads(message.body)) == ("made", "results", {"a": 1})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["furl", "--header", "nonsense"], "NAME: VALUE"),
        (["furl", "--path", "nowhere"], "begins with a slash"),
        (["furl", "--body", "@/nowhere"], "No such file"),
        (["furl", "--body", "x", "--file", "y"], "two bodies"),
        (["rmq", "--queue", "q", "--header", "nonsense"], "NAME=VALUE"),
        (["schedule", "--name", "x", "--at", "soon"], "--at takes a time"),
        (["check", "/nowhere.json"], "No such file"),
    ],
)
def test_options_that_make_no_event_are_told(arguments: list[str], said: str) -> None:
    result = facet(*arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_file_that_is_no_json_is_told() -> None:
    result = facet("check", "-", given="{")
    assert (result.exit_code, "is no JSON" in result.output) == (1, True)


MADE: dict[str, dict[str, Any]] = {
    **{name: event_for(name, REQUEST, route="GET /{p}", parameters={"p": "a"}) for name in SHAPES},
    "rmq": rmq_event("results", "/", [RmqMessage(b"{}", {"headers": {"a": "b"}})], broker_arn="arn:aws:mq:x"),
    "schedule": schedule_event("nightly", TIME),
    "cloudevent": cloud_event(source="/x", type="y", id="1", time=TIME, data=b"\xff"),
}


@pytest.mark.parametrize("name", MADE)
def test_every_event_that_is_made_here_is_right(name: str) -> None:
    assert (check(MADE[name]) or "").startswith(("a ", "an HTTP"))


def record(event: dict[str, Any]) -> Any:
    return event["rmqMessagesByQueue"]["results::/"][0]


@pytest.mark.parametrize(
    ("name", "edit", "problem"),
    [
        ("furl", lambda e: e["requestContext"]["http"].pop("method"), "requestContext.http.method: missing"),
        ("furl", lambda e: e["requestContext"].pop("http"), "requestContext.http: missing"),
        ("furl", lambda e: e.update(isBase64Encoded=True, body="%"), "body: not base64"),
        ("furl", lambda e: e["headers"].update({"x-b": ["1"]}), "headers.x-b: not a text"),
        ("furl", lambda e: e.update(rawQueryString="?a=1"), "rawQueryString: not a query without its ?"),
        ("furl", lambda e: e.update(cookies="a=1"), "cookies: not a list"),
        ("furl", lambda e: e.update(version="1.0"), 'version: not "2.0"'),
        ("http", lambda e: e.update(rawPath="x"), "rawPath: not a path that begins with /"),
        ("rest", lambda e: e["requestContext"].pop("identity"), "requestContext.identity: missing"),
        ("rest", lambda e: e["multiValueHeaders"].update(a="1"), "multiValueHeaders.a: not a list"),
        ("rest", lambda e: e.pop("stageVariables"), "stageVariables: missing"),
        ("rest", lambda e: e.update(httpMethod="get"), "httpMethod: not a method in capitals"),
        ("alb", lambda e: e["requestContext"]["elb"].clear(), "requestContext.elb.targetGroupArn: missing"),
        ("alb", lambda e: e.update(body=None), "body: not a text"),
        ("alb-multi", lambda e: e["multiValueHeaders"].update(a=[1]), "multiValueHeaders.a[0]: not a text"),
        ("rmq", lambda e: record(e).update(data="{}"), "rmqMessagesByQueue.results::/[0].data: not base64"),
        (
            "rmq",
            lambda e: record(e)["basicProperties"]["headers"].update(a="b"),
            'rmqMessagesByQueue.results::/[0].basicProperties.headers.a: not {"bytes": […]}, as which a text is sent',
        ),
        (
            "rmq",
            lambda e: record(e)["basicProperties"].update(timestamp="2026-01-01"),
            "rmqMessagesByQueue.results::/[0].basicProperties.timestamp: not like Jan 1, 1970, 12:33:41 AM",
        ),
        ("rmq", lambda e: e["rmqMessagesByQueue"].update({"x::/": []}), "rmqMessagesByQueue.x::/: empty"),
        ("rmq", lambda e: e.update(rmqMessagesByQueue={"x": [record(e)]}), "rmqMessagesByQueue.x: not QUEUE::VHOST"),
        ("rmq", lambda e: e.pop("rmqMessagesByQueue"), "rmqMessagesByQueue: missing"),
        ("schedule", lambda e: e.update(time="now"), "time: not a time like 2026-01-31T12:00:00Z"),
        ("schedule", lambda e: e.update(resources=None), "resources: not a list"),
        ("cloudevent", lambda e: e.update(specversion="0.3"), 'specversion: not "1.0"'),
        ("cloudevent", lambda e: e.update(id=""), "id: not filled"),
        ("cloudevent", lambda e: e.update(data={}), "data_base64: not beside data, of which an event has one form"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_else(name: str, edit: Edit, problem: str) -> None:
    event = copy.deepcopy(MADE[name])
    edit(event)
    with pytest.raises(InvalidEvent) as refused:
        check(event)
    assert refused.value.problems == [problem]
    result = facet("check", "-", given=json.dumps(event))
    assert (result.exit_code, problem in result.output) == (1, True)


@pytest.mark.parametrize("event", [{}, [], "text", None, 1, {"name": "Ada"}, {"httpMethod": "GET"}, {"version": "2.0"}])
def test_json_of_no_known_source_is_left_alone(event: Any) -> None:
    assert check(event) is None
    assert "Plain JSON" in facet("check", "-", given=json.dumps(event)).output


@pytest.mark.parametrize("name", SHAPES)
def test_the_detectors_of_both_sides_agree(name: Shape) -> None:
    assert shape(MADE[name]) == {"http": "furl", "alb-multi": "alb"}.get(name, name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACET_STATE", str(tmp_path / "state"))
    (tmp_path / "app.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "template.yaml").write_text(
        """
Transform: AWS::Serverless-2016-10-31
Resources:
  EchoFunction:
    Type: AWS::Serverless::Function
    Properties:
      { CodeUri: ., Handler: app.handler, Runtime: python3.13, FunctionUrlConfig: { AuthType: NONE } }
"""
    )
    return tmp_path


@pytest.mark.parametrize("name", ["echo", "EchoFunction"])
def test_invoke_refuses_an_event_that_no_source_would_send(project: Path, name: str) -> None:
    file = project / "event.json"
    file.write_text(json.dumps({**MADE["furl"], "rawPath": "x"}))
    arguments = ["invoke", name, "--event", str(file), "--template", str(project / "template.yaml")]
    refused = CliRunner().invoke(cli.main, arguments)
    assert (refused.exit_code, "rawPath: not a path" in refused.output) == (1, True)
    assert "--no-check" in refused.output
    sent = CliRunner().invoke(cli.main, [*arguments, "--no-check"])
    assert "Facet is not running here" in sent.output


def test_a_body_in_base64_is_what_it_was() -> None:
    event = printed("furl", "--body", "@" + str(Path(__file__).parents[1] / "data/cat.png"))
    assert base64.b64decode(event["body"])[:4] == b"\x89PNG"
