"""What a WSGI server hands over is the request that a function URL gets, and its client gets the function's answer."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from hypothesis import given

from facet import events
from facet.adapters import MAX_BODY, wsgi
from facet.cors import CrossOrigin
from facet.function import Function
from facet.http import Answers, Headers, Request, Response
from tests.layers.shapes import Plain, furl
from tests.layers.test_events import PLAIN

pytestmark = pytest.mark.usefixtures("bare_environment")
Environment = dict[str, Any]


def environ(plain: Plain, **more: Any) -> Environment:
    """What a server makes of a request. It joins repeated headers, and tells the address as sent."""
    query = urlencode(plain.query)
    made: Environment = {
        "REQUEST_METHOD": plain.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(plain.path).decode("latin-1"),
        "REQUEST_URI": plain.path + (f"?{query}" if query else ""),
        "QUERY_STRING": query,
        "REMOTE_ADDR": plain.source_ip,
        "CONTENT_LENGTH": str(len(plain.body)) if plain.body else "",
        "wsgi.input": io.BytesIO(plain.body),
    }
    for name, value in Headers(plain.with_cookie_header()).items():
        made[f"HTTP_{name.upper().replace('-', '_')}"] = value
    made |= more
    given = set(made)
    setup_testing_defaults(made)
    return {name: value for name, value in made.items() if name in given or name != "HTTP_HOST"}


class Seen(Answers):
    """Answers with what it is told to, and keeps what it was asked."""

    def __init__(self, response: Response | None = None, error: BaseException | None = None) -> None:
        self.requests: list[Request] = []
        self.response, self.error = response or Response(200, "fine", [("content-type", "text/plain")]), error

    def respond(self, request: Request, context: Any) -> Response:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return self.response


def ask(answers: Answers, environ: Environment) -> tuple[str, dict[str, str], bytes]:
    """The answer by the rules of WSGI, which the validator knows."""
    said: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], Any]:
        said.extend([status, headers])
        return lambda data: None

    result = validator(wsgi.application(answers))(environ, start_response)
    body = b"".join(result)
    result.close()  # type: ignore[attr-defined]  # the validator wants it closed
    return said[0], dict(said[1]), body


@given(PLAIN)
def test_the_request_is_that_of_a_function_url(plain: Plain) -> None:
    expected = replace(events.request_from(furl(plain)), request_id="")
    found = wsgi.request_from(environ(plain), plain.body)
    length = [("content-length", str(len(plain.body)))] if plain.body else []
    assert found == replace(expected, headers=Headers([*expected.headers.items(), *length]))


@given(PLAIN)
def test_the_body_is_read_as_the_rules_want(plain: Plain) -> None:
    seen = Seen()
    ask(seen, environ(plain))
    assert seen.requests[0].body == plain.body


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({"REQUEST_URI": "/a%2Fb?c=/d"}, "/a%2Fb"),
        ({"RAW_URI": "/a%2Fb"}, "/a%2Fb"),
        ({"REQUEST_URI": "http://example.org/a%2Fb?c"}, "/a%2Fb"),
        ({"REQUEST_URI": "/elsewhere"}, "/a/b"),  # what a rewriting middleware decided counts
        ({}, "/a/b"),
        ({"SCRIPT_NAME": "/mount", "REQUEST_URI": "/mount/a%2Fb"}, "/a%2Fb"),
        ({"SCRIPT_NAME": "/mount"}, "/a/b"),
        ({"PATH_INFO": "/100% ü?#".encode().decode("latin-1")}, "/100%25%20%C3%BC%3F%23"),
        ({"PATH_INFO": "", "REQUEST_URI": ""}, "/"),
    ],
)
def test_the_path_is_as_it_was_sent_where_the_server_tells(told: Environment, path: str) -> None:
    made = environ(Plain(path="/a/b"))
    del made["REQUEST_URI"]
    assert wsgi.request_from({**made, **told}, b"").path == path


def test_what_may_stand_in_no_url_is_encoded() -> None:
    sent = "/ü<".encode().decode("latin-1")
    made = environ(Plain(), REQUEST_URI=sent, PATH_INFO=sent, QUERY_STRING="q=ü".encode().decode("latin-1"))
    request = wsgi.request_from(made, b"")
    assert (request.path, request.query) == ("/%C3%BC%3C", (("q", "ü"),))


@pytest.mark.parametrize("body", ["text: ü", b"\xff\x00bytes", ""])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_answer_is_the_functions(body: str | bytes, method: str) -> None:
    headers = [("Content-Type", "x/y"), ("X-Many", "1"), ("X-Many", "2"), ("Connection", "close"), ("Date", "never")]
    cookies = ["a=1; Path=/", "b=2"]
    status, sent, answer = wsgi.reply_to(method, Response(201, body, headers, cookies))
    raw = body.encode() if isinstance(body, str) else body
    assert status == "201 Created"
    assert sent == [
        *(("content-type", "x/y"), ("x-many", "1"), ("x-many", "2"), ("set-cookie", cookies[0])),
        *(("set-cookie", cookies[1]), ("content-length", "0" if method == "HEAD" else str(len(raw)))),
    ]
    assert answer == (b"" if method == "HEAD" else raw)


def test_an_answer_to_head_has_the_length_of_that_to_get() -> None:
    app = Function("example")
    app.endpoint("GET", "/")(lambda: {"text": "ü"})
    made = environ(Plain(path="/", method="HEAD"))
    status, headers, body = ask(app, made)
    assert (status, headers["content-length"], body) == ("200 OK", str(len('{"text":"\\u00fc"}')), b"")


@pytest.mark.parametrize("status", [204, 304])
def test_what_has_no_body_has_no_length(status: int) -> None:
    assert wsgi.reply_to("GET", Response(status, "no"))[1:] == ([], b"")


def test_a_header_beyond_latin_1_is_sent_as_utf_8() -> None:
    _, headers, _ = wsgi.reply_to("GET", Response(200, "", [("x-name", "Zoë 😀")]))
    assert headers[0][1].encode("latin-1").decode() == "Zoë 😀"


def test_a_status_without_a_name_is_sent() -> None:
    assert wsgi.reply_to("GET", Response(299))[0] == "299 Unknown"


@pytest.mark.parametrize(
    "item", [("x", "a\r\nset-cookie: b"), ("x", "a\nb"), ("x", "\0"), ("x: y\r\nz", "a"), ("", "")]
)
def test_a_header_that_would_end_its_line_is_a_500(item: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    status, _, body = ask(Seen(Response(200, "x", [item])), environ(Plain()))
    assert status == "500 Internal Server Error"
    assert b'"INTERNAL_ERROR"' in body
    assert "no header may have" in caplog.text


@pytest.mark.parametrize("error", [KeyError("secret"), SystemExit(3)])
def test_what_is_raised_is_a_500_that_tells_nothing(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    status, headers, body = ask(Seen(error=error), environ(Plain()))
    assert status == "500 Internal Server Error"
    assert headers["content-type"] == "application/problem+json"
    assert b"secret" not in body
    assert type(error).__name__ in caplog.text


class Unread(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError("it is not to be read")


def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    seen = Seen()
    made = environ(Plain(method="POST"), CONTENT_LENGTH=str(MAX_BODY + 1), **{"wsgi.input": Unread()})
    status, _, body = ask(seen, made)
    assert status.startswith("413 ")
    assert b'"code":"BODY_TOO_LARGE"' in body
    assert seen.requests == []


def test_a_body_without_a_length_is_read_to_its_end_and_not_beyond_the_limit() -> None:
    seen, source = Seen(), io.BytesIO(b"x" * (MAX_BODY * 2))
    made = environ(Plain(method="POST"), **{"wsgi.input": source, "wsgi.input_terminated": True})
    assert ask(seen, made)[0].startswith("413 ")
    assert source.tell() == MAX_BODY + 1
    made = environ(Plain(method="POST"), **{"wsgi.input": io.BytesIO(b"chunks"), "wsgi.input_terminated": True})
    ask(seen, made)
    assert [request.body for request in seen.requests] == [b"chunks"]


def test_a_body_at_the_limit_is_taken() -> None:
    seen = Seen()
    ask(seen, environ(Plain(method="POST", body=b"x" * MAX_BODY)))
    assert len(seen.requests[0].body) == MAX_BODY


def test_a_server_that_does_not_end_the_input_is_not_asked_for_more_than_it_announced() -> None:
    seen = Seen()
    ask(seen, environ(Plain(method="POST"), **{"wsgi.input": Unread()}))
    assert seen.requests[0].body == b""


def test_half_a_body_reaches_no_function() -> None:
    seen = Seen()
    made = environ(Plain(method="POST"), CONTENT_LENGTH="10", **{"wsgi.input": io.BytesIO(b"half")})
    status, _, body = ask(seen, made)
    assert status.startswith("400 ")
    assert b"MALFORMED_BODY" in body
    assert seen.requests == []


def test_a_refusal_can_be_read_by_pages_of_other_origins() -> None:
    made = environ(Plain(method="POST", headers=[("origin", "http://app")]), CONTENT_LENGTH=str(MAX_BODY + 1))
    _, headers, _ = ask(CrossOrigin(Seen(), ["http://app"]), made)
    assert headers["access-control-allow-origin"] == "http://app"


class Gone(io.BytesIO):
    """The input of a client that has left: gunicorn raises NoMoreData or what the socket did, each an OSError."""

    def read(self, size: int | None = -1) -> bytes:
        raise ConnectionResetError


@pytest.mark.parametrize("announced", [{"CONTENT_LENGTH": "10"}, {"wsgi.input_terminated": True}])
def test_a_client_that_leaves_while_it_sends_is_no_error_of_ours(announced: dict[str, Any]) -> None:
    seen = Seen()
    status, _, body = ask(seen, environ(Plain(method="POST"), **announced, **{"wsgi.input": Gone()}))
    assert status.startswith("400 ")
    assert b"MALFORMED_BODY" in body
    assert seen.requests == []
