"""WSGI: requests of servers such as gunicorn, uWSGI and mod_wsgi.

A WSGI server waits for the application: what ends a request that takes too long is the server's own timeout (gunicorn:
`--timeout`). `timeout` tells the function how long it has.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from facet.adapters import HOP_BY_HOP, MAX_BODY, answer, body_too_large, encoded, encoded_anew, outgoing, refuse
from facet.context import Context
from facet.http import Answers, Headers, Request, Response, query_from
from facet.problems import MalformedBody, Problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PIECE = 65_536


def application(answers: Answers, *, timeout: float = 30.0) -> "WSGIApplication":
    """The WSGI application. `timeout` is in seconds."""

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            request = request_from(environ, _body(environ))
        except Problem as problem:
            request = request_from(environ, b"")
            response = refuse(answers, request, problem, None)
        else:
            response = answer(answers, request, Context("wsgi", timeout))
        status, headers, body = reply_to(request.method, response)
        start_response(status, headers)
        return [body] if body else []

    return app


def request_from(environ: "WSGIEnvironment", body: bytes) -> Request:
    """The request of an environment. `body` is what was read of its input."""
    return Request(
        method=environ["REQUEST_METHOD"].upper(),
        path=_path(environ),
        query=query_from(encoded(environ.get("QUERY_STRING", "").encode("latin-1"))),
        headers=Headers(_headers(environ)),
        body=body,
        source_ip=environ.get("REMOTE_ADDR", ""),
    )


def reply_to(method: str, response: Response) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status line, headers and body of an answer. Raises ValueError for what no header may have."""
    headers, body = outgoing(response, method)
    native = [(name, value.encode().decode("latin-1")) for name, value in headers]
    return f"{response.status} {_phrase(response.status)}", native, body


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"


def _path(environ: "WSGIEnvironment") -> str:
    """The path as it was sent where the server tells; PATH_INFO is decoded and has lost what %2F was."""
    mounted, inner = (environ.get(name, "").encode("latin-1") for name in ("SCRIPT_NAME", "PATH_INFO"))
    sent = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if not sent.startswith("/"):
        sent = urlsplit(sent).path  # a proxy's form: http://host/path
    raw = sent.partition("?")[0].encode("latin-1")
    if raw and unquote_to_bytes(raw) == mounted + inner:  # else something before us wrote it anew
        return encoded(b"/" + raw.split(b"/", mounted.count(b"/") + 1)[-1])
    return encoded_anew(inner) or "/"


def _headers(environ: "WSGIEnvironment") -> list[tuple[str, str]]:
    named = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    named |= {name: environ[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    pairs = [(name.lower().replace("_", "-"), value) for name, value in named.items()]
    return [item for item in pairs if item[0] not in HOP_BY_HOP]


def _body(environ: "WSGIEnvironment") -> bytes:
    """Raises BodyTooLarge, before reading where the length says so, and MalformedBody when the client left."""
    length = environ.get("CONTENT_LENGTH") or ""
    expected = int(length) if length.isascii() and length.isdigit() else None
    if expected is not None and expected > MAX_BODY:
        raise body_too_large()
    if expected is None and not environ.get("wsgi.input_terminated"):
        return b""  # no length, and a server that does not end the input: there is none to read
    try:
        body = _read(environ["wsgi.input"].read, MAX_BODY + 1 if expected is None else expected)
    except OSError as error:
        raise MalformedBody("The body was cut off") from error
    if len(body) > MAX_BODY:
        raise body_too_large()
    if expected is not None and len(body) < expected:
        raise MalformedBody("The body was cut off")
    return body


def _read(read: Callable[[int], Any], most: int) -> bytes:
    body = bytearray()
    while len(body) < most and (piece := read(min(_PIECE, most - len(body)))):
        body += piece
    return bytes(body)
