"""One HTTP client for each way to the functions: AWS's fronts, two kinds of servers, the runtimes of other clouds."""

import asyncio
import importlib.util
import io
import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from types import SimpleNamespace
from typing import Any, get_args
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import httpx
import pytest

from facet import loading
from facet.adapters import asgi, wsgi
from facet.api import Api
from facet.context import Context
from facet.cors import CrossOrigin
from facet.http import Answers
from facet.http import match as fits
from facet.settings import settings
from local.events import HttpRequest, Shape, decode_response, rest_event
from local.testing import Local
from tests.conftest import PROJECT

PEER = "127.0.0.1"
Handler = Callable[[httpx.Request], httpx.Response]
Headers = list[tuple[str, str]]


def client(front: str, local: Local, function: str | None = None) -> httpx.Client:
    """A client of the whole API, or of one function's URL; `front` is one of FRONTS."""
    if front == "gateway":
        return local.http(function)
    if front in get_args(Shape):
        return local.http(function, shape=front)  # type: ignore[arg-type]  # it is one of them
    own = f"/fn/{function}" if function and front != "chalice" else ""  # an API of Chalice's has no other addresses
    return httpx.Client(transport=httpx.MockTransport(HANDLERS[front]()), base_url=f"http://localhost{own}")


def chosen() -> str:
    """The front through which tests/functions goes: FACET_TEST_ADAPTER, one of FRONTS."""
    return os.environ.get("FACET_TEST_ADAPTER", "gateway")


def not_through(*fronts: str, reason: str) -> pytest.MarkDecorator:
    """Marks a test of tests/functions that says nothing of the functions where these stand before them."""
    return pytest.mark.skipif(chosen() in fronts, reason=reason)


@cache
def everything() -> Answers:
    """All functions as a server has them."""
    functions = [loading.load(name) for name in loading.names()]
    return CrossOrigin(Api(functions), settings().cors_origins)


@cache
def _wsgi() -> Handler:
    return _by_wsgi(wsgi.application(everything()))


@cache
def _asgi() -> Handler:
    app = asgi.application(everything())

    def handle(request: httpx.Request) -> httpx.Response:
        return asyncio.run(_by_asgi(app, request))

    return handle


@cache
def _gcf() -> Handler:
    """The entry point of all functions, under functions-framework's own application."""
    import functions_framework

    source = str(PROJECT / "infra/gcp/main.py")
    return _by_wsgi(functions_framework.create_app("api", source, "http"))  # type: ignore[no-untyped-call]  # as said


@cache
def _azure() -> Handler:
    import azure.functions as func

    from facet.adapters import azure

    view = azure.http(everything())

    def handle(request: httpx.Request) -> httpx.Response:
        headers = {**dict(_headers(request)), "x-forwarded-for": f"{PEER}:50000"}
        native = func.HttpRequest(request.method, str(request.url), headers=headers, body=request.read())
        context = SimpleNamespace(function_name="facet", invocation_id=str(uuid4()))
        answer = view(native, context)  # type: ignore[arg-type]  # it has what the view asks Azure's for
        return httpx.Response(answer.status_code, headers=list(answer.headers.items()), content=answer.get_body())

    return handle


@cache
def _chalice() -> Handler:
    """The app behind API Gateway, which finds the route and sends bodies as base64."""
    spec = importlib.util.spec_from_file_location("chalice_app", PROJECT / "infra/chalice/app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def handle(request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode().partition("?")
        found = [route for route in module.app.routes if fits(route, path) is not None]
        resource = min(found, key=lambda route: route.count("{"), default=None)
        native = HttpRequest(
            request.method, path, query, tuple(_headers(request)), request.read(), PEER, request_id=str(uuid4())
        )
        event = rest_event(native, resource=resource, path_parameters=fits(resource, path) if resource else None)
        answer = decode_response(json.dumps(module.app(event, Context("api"))).encode(), "rest")
        pairs = [*answer.headers, *(("set-cookie", cookie) for cookie in answer.cookies)]
        return httpx.Response(answer.status, headers=pairs, content=b"" if request.method == "HEAD" else answer.body)

    return handle


def _by_wsgi(app: Callable[..., Iterable[bytes]]) -> Handler:
    def handle(request: httpx.Request) -> httpx.Response:
        started: list[tuple[int, Headers]] = []

        def start_response(status: str, headers: Headers, _: Any = None) -> None:
            started.append((int(status[:3]), headers))

        answered = app(_environ(request), start_response)
        content = b"".join(answered)
        getattr(answered, "close", lambda: None)()
        [(status, headers)] = started
        return httpx.Response(status, headers=headers, content=content)

    return handle


def _environ(request: httpx.Request) -> dict[str, Any]:
    """The environment that gunicorn gives."""
    path, _, query = request.url.raw_path.decode().partition("?")
    environ = {
        "REQUEST_METHOD": request.method,
        "RAW_URI": request.url.raw_path.decode(),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": PEER,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.read()),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
    }
    for name, value in _headers(request):
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ


async def _by_asgi(app: asgi.Application, request: httpx.Request) -> httpx.Response:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.read(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(_scope(request), receive, send)
    headers = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    return httpx.Response(
        sent[0]["status"], headers=headers, content=b"".join(message.get("body", b"") for message in sent[1:])
    )


def _scope(request: httpx.Request) -> asgi.Scope:
    """The scope that uvicorn gives."""
    path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode(errors="replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in _headers(request)],
        "client": (PEER, 50000),
        "server": ("localhost", 80),
    }


def _headers(request: httpx.Request) -> Headers:
    """In lower case, repeated ones joined as every server does that passes on one value of a name."""
    return [(name.lower(), value) for name, value in request.headers.items()]


HANDLERS: dict[str, Callable[[], Handler]] = {
    "wsgi": _wsgi,
    "asgi": _asgi,
    "gcf": _gcf,
    "azure": _azure,
    "chalice": _chalice,
}
FRONTS: tuple[str, ...] = ("gateway", *get_args(Shape), *HANDLERS)
