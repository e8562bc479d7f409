"""What functions-framework hands over, as Facet sees it."""

import json
from base64 import b64decode
from typing import Any

import flask
import pytest
from cloudevents.http import from_http
from werkzeug.exceptions import BadRequest

from facet.adapters import gcf
from facet.function import Function
from facet.http import Answers, Request, Response

ATTRIBUTES = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "t", "ce-source": "s", "ce-subject": "x"}


class Echo(Answers):
    """Answers by what it was asked."""

    seen: Request

    def respond(self, request: Request, context: Any) -> Response:
        self.seen = request
        return Response(204, headers=[("vary", "a"), ("vary", "b")], cookies=["a=1", "b=2"])


def test_a_request_keeps_its_path_its_values_and_its_body() -> None:
    echo, app = Echo(), flask.Flask("test")
    with app.test_request_context("/tasks/a%2Fb?a=1&a=2&b=", method="POST", data=b"\xff", headers={"X-Y": "z"}):
        answer = gcf.http(echo)(flask.request)
    assert (echo.seen.path, echo.seen.query) == ("/tasks/a%2Fb", (("a", "1"), ("a", "2"), ("b", "")))
    assert (echo.seen.body, echo.seen.headers["x-y"]) == (b"\xff", "z")
    assert answer.headers.getlist("set-cookie") == ["a=1", "b=2"]
    assert answer.headers.getlist("vary") == ["a", "b"]


def test_an_answer_without_content_has_no_type() -> None:
    with flask.Flask("test").test_request_context("/"):
        answer = gcf.http(Echo())(flask.request)
    assert (answer.status_code, "content-type" in answer.headers) == (204, False)


def test_an_events_attributes_and_data_stay_together() -> None:
    event = gcf.event_from(from_http({**ATTRIBUTES, "content-type": "application/json"}, b'{"a": 1}'))
    assert (event["id"], event["subject"], event["data"]) == ("1", "x", {"a": 1})


def test_data_that_are_no_json_stay_bytes() -> None:
    event = gcf.event_from(from_http({**ATTRIBUTES, "content-type": "application/json"}, b"\xff{"))
    assert b64decode(event["data_base64"]) == b"\xff{"
    assert "data" not in event


def test_an_event_without_data_has_none() -> None:
    event = gcf.event_from(from_http(ATTRIBUTES, b""))
    assert not {"data", "data_base64"} & set(event)


def test_what_a_function_raises_is_the_frameworks_to_answer() -> None:
    app = Function("tick")

    @app.scheduled
    def tick(now: object) -> None:
        raise OSError("away")

    view = gcf.cloud_event(app)
    assert view.__name__ == "tick"
    with pytest.raises(OSError, match="away"):
        view(from_http(ATTRIBUTES, b""))


@pytest.mark.parametrize("wrong", [{"id": 7}, {"time": "yesterday"}, {"source": ""}])
def test_an_event_that_breaks_the_rules_reaches_no_function(wrong: dict[str, object]) -> None:
    app = Function("tick")

    @app.scheduled
    def tick(now: object) -> None:
        raise AssertionError("it is not to be called")

    whole = {"specversion": "1.0", "id": "1", "type": "t", "source": "s", "data": {}}
    event = from_http({"content-type": "application/cloudevents+json"}, json.dumps(whole | wrong))
    [name] = wrong
    with pytest.raises(BadRequest, match=name):
        gcf.cloud_event(app)(event)
