"""A function answers every event it may get, and only as it declared."""

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest
from chalice.app import BadRequestError
from chalice.app import Request as ChaliceRequest
from chalice.app import Response as ChaliceResponse
from chalice.test import Client
from pydantic import BaseModel

from facet import log
from facet.function import Function
from facet.http import Answer, Request, Response
from facet.messages import Message
from facet.problems import Invalid, Problem
from tests.layers.shapes import SHAPES, Plain, call
from tests.layers.test_messages import batch, record

pytestmark = pytest.mark.usefixtures("bare_environment")


class Named(BaseModel):
    name: str


class Greeting(BaseModel):
    text: str
    caller: str | None = None


class TakenError(Exception):
    status, code, title = 409, "TAKEN", "It is taken"


class DownError(Problem):
    status, code, title = 503, "STORE_DOWN", "The store is down"
    headers: Mapping[str, str] = {"Retry-After": "5"}


def somebody(request: Request) -> str:
    if "x-name" not in request.headers:
        raise Invalid.missing("header", "x-name")
    return request.headers["x-name"]


@pytest.fixture
def app() -> Function:
    return Function("example")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# ---- routes


@pytest.fixture
def greeter(app: Function) -> Function:
    @app.endpoint("GET", "/people/{name}", returns=Greeting, kept=True)
    @app.endpoint("GET", "/others/{name}", returns=Greeting, caller=somebody)
    def greet(name: str, caller: str | None = None) -> Greeting:
        return Greeting(text=f"Hello {name}", caller=caller)

    return app


@pytest.mark.parametrize("path", ["/people/Zo%C3%AB%2F", "/api/v1/people/Zo%C3%AB%2F"])
def test_a_path_is_found_with_and_without_the_prefix_and_its_parameters_are_decoded(
    greeter: Function, path: str
) -> None:
    assert call(greeter, "GET", path).json == {"text": "Hello Zoë/", "caller": None}


def test_the_prefix_is_a_setting(greeter: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH_PREFIX", "/v2")
    assert call(greeter, "GET", "/v2/people/a").status == 200
    assert call(greeter, "GET", "/api/v1/people/a").status == 404
    assert call(greeter, "GET", "/v2people/a").status == 404


def test_two_routes_share_a_view_and_each_has_its_own_caller(greeter: Function) -> None:
    assert call(greeter, "GET", "/others/a", headers={"x-name": "b"}).json == {"text": "Hello a", "caller": "b"}
    assert call(greeter, "GET", "/others/a").status == 422


@pytest.mark.parametrize("path", ["/", "/people", "/people/", "/people/a/b", "/people/%00", "/people/%ff", ""])
def test_an_unknown_path_is_a_404_with_the_old_text(greeter: Function, path: str) -> None:
    reply = call(greeter, "GET", path)
    assert reply.status == 404
    assert reply.json == {"detail": "Not Found"}


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "BREW"])
def test_another_method_is_a_405_that_lists_what_is_allowed(greeter: Function, method: str) -> None:
    reply = call(greeter, method, "/people/a")
    assert reply.status == 405
    assert reply.json == {"detail": "Method Not Allowed"}
    assert reply.headers["allow"] == "GET, HEAD"


def test_head_is_get_without_the_body(greeter: Function) -> None:
    reply = call(greeter, "HEAD", "/people/a")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-length"] == str(len(call(greeter, "GET", "/people/a").body))


def test_a_literal_path_comes_before_a_parameter(greeter: Function) -> None:
    @greeter.endpoint("GET", "/people/all")
    def everybody() -> dict[str, str]:
        return {"text": "everybody"}

    assert call(greeter, "GET", "/people/all").json == {"text": "everybody"}


@pytest.mark.parametrize("name", SHAPES)
def test_every_event_shape_is_answered_in_its_own_form(greeter: Function, name: str) -> None:
    reply = greeter(SHAPES[name](Plain("GET", "/api/v1/people/a")), None)
    assert reply["statusCode"] == 200
    assert json.loads(reply["body"])["text"] == "Hello a"
    assert ("statusDescription" in reply) is name.startswith("alb")


# ---- declarations


def test_the_order_is_route_then_caller_then_body(app: Function) -> None:
    @app.endpoint("POST", "/people", body=Named, caller=somebody, kept=True)
    def create(body: Named, caller: str) -> None:
        raise AssertionError

    assert call(app, "POST", "/nowhere").status == 404
    assert call(app, "POST", "/people", body=b"{").json["detail"][0]["loc"] == ["header", "x-name"]
    assert call(app, "POST", "/people", body=b"{", headers={"x-name": "a"}).json["detail"][0]["loc"] == ["body", 1]


def test_a_view_is_given_only_what_it_asks_for(app: Function) -> None:
    @app.endpoint("POST", "/people/{name}", body=Named, caller=somebody)
    def create(request: Request) -> Response:
        return Response(200, request.path_parameters["name"])

    assert call(app, "POST", "/people/a", headers={"x-name": "b"}, body=b'{"name": "c"}').body == b"a"


def test_a_view_that_asks_for_what_nothing_gives_is_refused_when_it_is_declared(app: Function) -> None:
    with pytest.raises(TypeError, match=r"create\(\) wants 'body'"):

        @app.endpoint("POST", "/people")
        def create(body: Named) -> None:
            raise AssertionError


def test_a_declared_view_stays_a_plain_function(greeter: Function) -> None:
    assert greeter.endpoints[0].view(name="a") == Greeting(text="Hello a")
    assert [endpoint.path for endpoint in greeter.endpoints] == ["/others/{name}", "/people/{name}"]


# ---- answers


def test_a_row_becomes_the_model_it_returns(app: Function) -> None:
    @app.endpoint("GET", "/row", returns=Greeting, status=201)
    def row() -> Any:
        return {"text": "from a row", "password_hash": "s3cret"}

    reply = call(app, "GET", "/row")
    assert reply.status == 201
    assert reply.json == {"text": "from a row", "caller": None}


def test_nothing_is_an_empty_answer(app: Function) -> None:
    @app.endpoint("DELETE", "/row", status=204)
    def delete() -> None:
        pass

    reply = call(app, "DELETE", "/row")
    assert (reply.status, reply.body) == (204, b"")
    assert "content-type" not in reply.headers


@pytest.mark.parametrize("accept", [None, "application/json", "image/*"])
def test_a_binary_answer_needs_no_accept_header(app: Function, accept: str | None) -> None:
    @app.endpoint("GET", "/photo")
    def photo() -> Response:
        return Response(200, b"\x89PNG\xff", [("Content-Type", "image/png")])

    reply = call(app, "GET", "/photo", headers={"accept": accept} if accept else {})
    assert reply.body == b"\x89PNG\xff"
    assert reply.headers["content-type"] == "image/png"


@pytest.mark.parametrize("body", ["", "no JSON", b"bytes", '{"Code": "x", "Message": "y"}'])
def test_a_view_may_answer_with_any_status_and_body(app: Function, body: str | bytes) -> None:
    @app.endpoint("GET", "/gone")
    def gone() -> Response:
        return Response(410, body)

    reply = call(app, "GET", "/gone")
    assert (reply.status, reply.body) == (410, body.encode() if isinstance(body, str) else body)


def test_an_answer_may_have_headers_and_another_status_beside_its_content(app: Function) -> None:
    @app.endpoint("GET", "/greeting", returns=Greeting)
    def greet() -> Answer:
        return Answer(Greeting(text="hello"), [("etag", '"1"')], 203)

    reply = call(app, "GET", "/greeting")
    assert (reply.status, reply.json["text"], reply.headers["etag"]) == (203, "hello", '"1"')
    assert reply.headers["cache-control"] == "no-store"


def test_an_answer_may_keep_the_declared_status_and_have_no_content(app: Function) -> None:
    @app.endpoint("POST", "/greeting", returns=Greeting, status=202)
    def greet() -> Answer:
        return Answer(headers=[("location", "/greeting/1")])

    reply = call(app, "POST", "/greeting")
    assert (reply.status, reply.body, reply.headers["location"]) == (202, b"", "/greeting/1")


def test_what_integrations_may_do_too_is_declared_once(app: Function) -> None:
    @app.endpoint("GET", "/greeting", caller=somebody, integrations=lambda conn, key: None)
    @app.endpoint("POST", "/greeting", caller=somebody, integrations=lambda conn, key: None)
    def greet() -> dict[str, str]:
        return {}

    assert {(e.method, e.path) for e in app.endpoints} == {
        (method, path) for method in ("GET", "POST") for path in ("/greeting", "/integrations/greeting")
    }
    assert call(app, "GET", "/greeting", headers={"x-name": "Ada"}).status == 200
    assert call(app, "GET", "/greeting").status == 422
    assert call(app, "GET", "/integrations/greeting", headers={"x-name": "Ada"}).json["code"] == "API_KEY_REQUIRED"


def test_an_answer_may_be_a_constant(app: Function) -> None:
    constant = Response(200, "text")

    @app.endpoint("GET", "/constant", caller=lambda request: "anybody")
    def view() -> Response:
        return constant

    assert call(app, "GET", "/constant").headers == {**call(app, "GET", "/constant").headers, "x-request-id": ANY}
    assert constant == Response(200, "text")


def test_a_header_may_be_repeated(app: Function) -> None:
    @app.endpoint("GET", "/links")
    def links() -> Response:
        return Response(200, "", [("Link", "</a>"), ("Link", "</b>")], ["a=1", "b=2"])

    assert call(app, "GET", "/links").headers["link"] == "</a>,</b>"
    assert app(SHAPES["furl"](Plain("GET", "/links")), None)["cookies"] == ["a=1", "b=2"]
    assert app(SHAPES["rest"](Plain("GET", "/links")), None)["multiValueHeaders"]["set-cookie"] == ["a=1", "b=2"]


def test_every_answer_names_its_request_and_is_not_sniffed(greeter: Function) -> None:
    context = SimpleNamespace(aws_request_id="r-7", function_name="example")
    for path in ("/people/a", "/nowhere"):
        reply = call(greeter, "GET", path, context=context)
        assert reply.headers["x-request-id"] == "r-7"
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_json_and_what_belongs_to_a_caller_is_not_stored(greeter: Function) -> None:
    @greeter.endpoint("GET", "/mine", caller=somebody)
    def mine() -> Response:
        return Response(200, "text")

    @greeter.endpoint("GET", "/tagged", caller=somebody)
    def tagged() -> Response:
        return Response(200, "text", [("Cache-Control", "private")])

    @greeter.endpoint("GET", "/everybodys")
    def everybodys() -> Response:
        return Response(200, "text")

    headers = {"x-name": "a"}
    assert call(greeter, "GET", "/people/a").headers["cache-control"] == "no-store"
    assert call(greeter, "GET", "/mine", headers=headers).headers["cache-control"] == "no-store"
    assert call(greeter, "GET", "/tagged", headers=headers).headers["cache-control"] == "private"
    assert "cache-control" not in call(greeter, "GET", "/everybodys").headers


# ---- failures


def failing(app: Function, error: Exception, **declared: Any) -> Function:
    @app.endpoint("GET", "/fails", **declared)
    def fails() -> None:
        raise error

    return app


def test_a_declared_exception_is_the_answer_it_declares(app: Function, capsys: pytest.CaptureFixture[str]) -> None:
    reply = call(failing(app, TakenError("e@x.org is taken"), raises=[TakenError]), "GET", "/fails")
    assert (reply.status, reply.json["code"], reply.json["detail"]) == (409, "TAKEN", "e@x.org is taken")
    assert reply.headers["content-type"] == "application/problem+json"
    assert lines(capsys) == []


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("error", [TakenError("s3cret text"), ValueError("s3cret text"), KeyError("s3cret text")])
def test_an_undeclared_exception_is_logged_once_and_told_nobody(
    app: Function, capsys: pytest.CaptureFixture[str], error: Exception, kept: bool
) -> None:
    reply = call(failing(app, error, kept=kept), "GET", "/fails", context=SimpleNamespace(aws_request_id="r-7"))
    assert reply.status == 500
    assert reply.json["detail"] == "Internal server error"
    assert b"s3cret" not in reply.body
    [line] = lines(capsys)
    assert line["level"] == "ERROR"
    assert line["function"] == "example"
    assert line["request_id"] == "r-7"
    assert line["error"] == type(error).__name__
    assert "in fails" in line["traceback"]


def test_a_bad_row_of_our_own_is_a_500_and_its_values_are_not_logged(
    app: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    @app.endpoint("GET", "/row", returns=Greeting)
    def row() -> Any:
        return {"text": ["s3cret"]}

    assert call(app, "GET", "/row").status == 500
    [line] = lines(capsys)
    assert line["error"] == "ValidationError"
    assert "s3cret" not in json.dumps(line)


def test_an_outage_of_the_layer_needs_no_declaration_and_leaves_a_line(
    app: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DownError("No answer from the store")
    error.__cause__ = OSError("connection refused")
    reply = call(failing(app, error), "GET", "/fails")
    assert (reply.status, reply.json["code"], reply.json["retryable"]) == (503, "STORE_DOWN", True)
    assert reply.headers["retry-after"] == "5"
    [line] = lines(capsys)
    assert line["level"] == "WARNING"
    assert "traceback" not in line
    assert "connection refused" in line["cause"]


def test_an_error_of_chalice_is_a_problem(app: Function) -> None:
    reply = call(failing(app, BadRequestError("Not like this")), "GET", "/fails")
    assert (reply.status, reply.json["code"], reply.json["detail"]) == (400, "BAD_REQUEST", "Not like this")


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b=1", "a\nb", "a\0", "Zoë"])
def test_a_header_that_cannot_be_sent_is_our_error(app: Function, value: str) -> None:
    @app.endpoint("GET", "/download")
    def download() -> Response:
        return Response(200, "", [("Content-Disposition", value)])

    reply = call(app, "GET", "/download")
    assert reply.status == 500
    assert "content-disposition" not in reply.headers


# ---- Chalice's own features


def test_a_plain_chalice_view_works_and_its_errors_are_problems(app: Function) -> None:
    @app.route("/plain/{name}", methods=["GET"])
    def plain(name: str) -> Any:
        if name == "bad":
            raise BadRequestError("Not like this")
        if name == "broken":
            raise ValueError("s3cret")
        return ChaliceResponse("<p>", headers={"Content-Type": "text/html"}) if name == "page" else {"name": name}

    assert call(app, "GET", "/api/v1/plain/Zo%C3%AB").json == {"name": "Zoë"}
    assert call(app, "GET", "/plain/page").body == b"<p>"
    bad = call(app, "GET", "/plain/bad")
    assert (bad.status, bad.json["detail"]) == (400, "Not like this")
    broken = call(app, "GET", "/plain/broken")
    assert (broken.status, broken.json["code"]) == (500, "INTERNAL_ERROR")
    assert b"s3cret" not in broken.body
    assert call(app, "POST", "/plain/a").json["code"] == "METHOD_NOT_ALLOWED"


def test_middleware_may_answer_and_change_answers_and_its_failures_are_problems(greeter: Function) -> None:
    @greeter.middleware("http")
    def guard(event: ChaliceRequest, get_response: Callable[[ChaliceRequest], ChaliceResponse]) -> ChaliceResponse:
        if event.headers.get("x-guard") == "stop":
            return ChaliceResponse({"text": "stopped"}, status_code=418)
        if event.headers.get("x-guard") == "fail":
            raise ValueError("s3cret")
        response = get_response(event)
        response.headers["x-guarded"] = "yes"
        return response

    assert call(greeter, "GET", "/people/a").headers["x-guarded"] == "yes"
    stopped = call(greeter, "GET", "/people/a", headers={"x-guard": "stop"})
    assert (stopped.status, stopped.json) == (418, {"text": "stopped"})
    failed = call(greeter, "GET", "/people/a", headers={"x-guard": "fail"})
    assert (failed.status, failed.json) == (500, {"detail": "Internal server error"})


def test_chalices_test_client_works(greeter: Function) -> None:
    @greeter.endpoint("GET", "/photo")
    def photo() -> Response:
        return Response(200, b"\x89PNG\xff", [("Content-Type", "image/png")])

    with Client(greeter) as client:
        assert client.http.get("/people/a").json_body == {"text": "Hello a", "caller": None}
        assert client.http.get("/others/a", headers={"X-Name": "b"}).json_body["caller"] == "b"
        assert client.http.get("/photo").body == b"\x89PNG\xff"


def test_chalice_sees_the_routes_it_would_deploy(greeter: Function) -> None:
    entry = greeter.routes["/people/{name}"]["GET"]
    assert (entry.view_name, entry.view_args, entry.content_types) == ("greet", ["name"], ["*/*"])
    assert greeter.api.binary_types == ["*/*"]


def test_requests_of_two_threads_do_not_mix(app: Function) -> None:
    both = threading.Barrier(2, timeout=10)

    @app.endpoint("GET", "/people/{name}")
    def greet(name: str) -> dict[str, Any]:
        both.wait()
        current = app.current_request
        assert current is not None
        return {"name": name, "current": current.uri_params}

    replies: dict[str, Any] = {}
    threads = [
        threading.Thread(target=lambda name=name: replies.update({name: call(app, "GET", f"/people/{name}").json}))
        for name in ("a", "b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert replies == {name: {"name": name, "current": {"name": name}} for name in ("a", "b")}


# ---- other events


def test_a_consumer_sees_every_message_in_order_with_its_trace(
    app: Function, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[bytes] = []

    @app.consumer
    def consume(message: Message) -> None:
        seen.append(message.body)
        log.get().warning("seen")

    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": {"bytes": list(f"00-{trace}-00f067aa0ba902b7-01".encode())}}
    assert app(batch(record(b"1", headers=headers), record(b"2")), None) is None
    assert seen == [b"1", b"2"]
    assert [line.get("trace_id") for line in lines(capsys)] == [trace, None]


def test_what_a_consumer_raises_reaches_the_trigger(app: Function) -> None:
    seen: list[bytes] = []

    @app.consumer
    def consume(message: Message) -> None:
        seen.append(message.body)
        raise DownError

    with pytest.raises(DownError):
        app(batch(record(b"1"), record(b"2")), None)
    assert seen == [b"1"]


def test_a_schedule_gives_the_time_of_its_event(app: Function) -> None:
    seen: list[datetime] = []
    app.scheduled(seen.append)
    event = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "time": "2026-11-22T18:54:00Z"}
    assert app(event, None) is None
    assert seen == [datetime(2026, 11, 22, 18, 54, tzinfo=UTC)]


@pytest.mark.parametrize("time", ["2999-01-01T00:00:00Z", None])
def test_a_cloud_event_is_due_now_at_the_latest_whatever_it_says(app: Function, time: str | None) -> None:
    seen: list[datetime] = []
    app.scheduled(seen.append)
    tick = {"specversion": "1.0", "id": "1", "source": "ping", "type": "dev.knative.sources.ping", "time": time}
    before = datetime.now(UTC)
    app(tick, None)
    app({**tick, "time": "2026-11-22T18:54:00Z"}, None)
    assert before <= seen[0] <= datetime.now(UTC)
    assert seen[1] == datetime(2026, 11, 22, 18, 54, tzinfo=UTC)


def test_a_direct_invocation_is_checked_and_answered_with_plain_values(app: Function) -> None:
    @app.internal(body=Named, returns=Greeting)
    def greet(body: Named) -> Greeting:
        return Greeting(text=f"Hello {body.name}")

    assert app({"name": "Zoë"}, None) == {"text": "Hello Zoë", "caller": None}
    with pytest.raises(Invalid, match=r"event\.name: Field required"):
        app({}, None)
    with pytest.raises(Invalid, match="NUL"):
        app({"name": "\0"}, None)


def test_a_direct_invocation_without_a_body_takes_any_event(app: Function) -> None:
    @app.internal()
    def count() -> dict[str, int]:
        return {"count": 3}

    assert app(None, None) == app({"any": 1}, None) == {"count": 3}


def test_a_declared_error_of_a_direct_invocation_is_raised_as_it_is(app: Function) -> None:
    @app.internal()
    def fail() -> None:
        raise TakenError("taken")

    with pytest.raises(TakenError, match="taken"):
        app({}, None)


@pytest.mark.parametrize(
    ("event", "words"),
    [({"Records": []}, "Records"), ({}, "nothing"), ([], "list"), (batch(), "rmqMessagesByQueue"), ("x", "str")],
)
def test_an_event_nobody_declared_is_a_clear_error(greeter: Function, event: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        greeter(event, None)


def test_an_http_event_never_reaches_a_direct_invocation(app: Function) -> None:
    @app.internal()
    def migrate() -> None:
        raise AssertionError

    for name in SHAPES:
        assert app(SHAPES[name](Plain("POST", "/")), None)["statusCode"] == 404
