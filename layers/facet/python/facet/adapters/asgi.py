"""ASGI: requests of servers such as uvicorn and hypercorn. Functions block, so each request has a thread meanwhile."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any

from facet import log
from facet.adapters import (
    HOP_BY_HOP,
    MAX_BODY,
    Busy,
    GatewayTimeout,
    HeadersTooLarge,
    answer,
    body_too_large,
    encoded,
    encoded_anew,
    outgoing,
    refuse,
)
from facet.adapters.bodies import Bodies
from facet.adapters.threads import Full, Threads
from facet.context import Context
from facet.http import Answers, Headers, Request, Response, query_from
from facet.problems import MalformedBody, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEAD_LIMIT = 32_768  # bytes of address and headers
WAITING = 64  # requests that wait for a thread
LINGER_SECONDS = 2.0
BODY_SECONDS = 120.0  # for a whole body: MAX_BODY by a poor network


class Disconnected(Exception):
    """The client left before its request was complete."""


def application(answers: Answers, *, threads: int = 8, timeout: float = 30.0, waiting: int = WAITING) -> Application:
    """The ASGI application: so many requests at once, and so many that wait; further ones are answered 503.

    After `timeout` seconds, waiting included, the answer is 504. What the function does then goes on, since a thread
    cannot be ended, and keeps its thread until it is done.
    """
    pool: Threads[Response] = Threads(threads, waiting=waiting)
    bodies = Bodies()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            with contextlib.suppress(Disconnected), bodies.one() as grow:
                await _exchange(answers, pool, timeout, grow, (scope, receive, send))
        elif scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "websocket.close", "code": 1008})

    return app


def request_from(scope: Scope, body: bytes) -> Request:
    """The request of a scope. `body` is what was received of it."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    return Request(
        method=scope["method"].upper(),
        path=_path(scope),
        query=query_from(encoded(scope.get("query_string", b""))),
        headers=Headers(item for item in pairs if item[0] not in HOP_BY_HOP),
        body=body,
        source_ip=scope["client"][0] if scope.get("client") else "",
    )


def reply_to(method: str, response: Response) -> tuple[Message, Message]:
    """The two messages of an answer. Raises ValueError for what no header may have."""
    headers, body = outgoing(response, method)
    native = [(name.encode(), value.encode()) for name, value in headers]
    start = {"type": "http.response.start", "status": response.status, "headers": native}
    return start, {"type": "http.response.body", "body": body}


def _path(scope: Scope) -> str:
    """As it was sent, below where the application is mounted."""
    sent = scope.get("raw_path") or encoded_anew(scope["path"].encode()).encode()
    mounted = scope.get("root_path", "").encode()
    return encoded(sent.removeprefix(mounted) if sent.startswith(mounted + b"/") else sent)


async def _exchange(
    answers: Answers,
    pool: Threads[Response],
    timeout: float,
    grow: Callable[[int], None],
    connection: tuple[Scope, Receive, Send],
) -> None:
    """Raises Disconnected."""
    scope, receive, send = connection
    head = request_from(scope, b"")
    try:
        _check_head(scope)
        request = replace(head, body=await _in_time(head, _counted(receive, grow)))
    except Problem as problem:
        start, body = reply_to(head.method, refuse(answers, head, problem, None))
        await _send_unread(scope, start, body, receive, send)
        return
    for message in reply_to(request.method, await _answer(answers, pool, timeout, request)):
        await send(message)


async def _answer(answers: Answers, pool: Threads[Response], timeout: float, request: Request) -> Response:
    context = Context("asgi", timeout)
    try:
        pending = asyncio.wrap_future(pool.submit(partial(answer, answers, request, context)))
    except Full:
        return refuse(answers, request, Busy("More requests wait than are held."), context)
    try:
        done, _ = await asyncio.wait([pending], timeout=timeout)
    except asyncio.CancelledError:  # the server ends and waits no longer
        pending.cancel()
        return refuse(answers, request, Busy("The server ends; what the request does may happen yet."), context)
    if done:
        return pending.result()
    pending.cancel()
    log.get().warning("%s %s takes longer than %g s", request.method, request.path, timeout)
    late = GatewayTimeout(f"No answer came within {timeout:g} seconds; what the request does may happen yet.")
    return refuse(answers, request, late, context)


def _check_head(scope: Scope) -> None:
    size = len(scope.get("raw_path") or scope["path"]) + len(scope.get("query_string", b""))
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_LIMIT:
        raise HeadersTooLarge(f"The address and the headers are longer than {HEAD_LIMIT} bytes.")


def _counted(receive: Receive, grow: Callable[[int], None]) -> Receive:
    """Tells the bytes of a body as they come."""

    async def counted() -> Message:
        message = await receive()
        grow(len(message.get("body", b"")))
        return message

    return counted


async def _in_time(head: Request, receive: Receive) -> bytes:
    """The body. Raises MalformedBody for one that does not end, and what `_body` raises."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _body(head, receive)
    except TimeoutError:
        raise MalformedBody(f"The body did not come within {BODY_SECONDS:g} seconds") from None


async def _body(head: Request, receive: Receive) -> bytes:
    """Raises BodyTooLarge, before reading where the length says so, and Disconnected."""
    length = head.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > MAX_BODY:
        raise body_too_large()
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise body_too_large()
        more = message.get("more_body", False)
    return bytes(body)


async def _send_unread(scope: Scope, start: Message, body: Message, receive: Receive, send: Send) -> None:
    """Answer a client that may still be sending: one that is cut off meanwhile may never read its answer."""
    if str(scope.get("http_version", "1.1")).startswith("1"):
        start["headers"].append((b"connection", b"close"))
    await send(start)
    await send({**body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})
