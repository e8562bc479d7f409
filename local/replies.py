"""The gateway's own answers, and how an answer goes out."""

import json
from collections.abc import Mapping
from typing import Any

from local.events import HttpResponse
from local.incoming import Incoming, Send

_LINGER_SECONDS = 2.0


class Answered(Exception):
    """The gateway's own answer, in place of a function's."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        super().__init__(response.status)


def problem(status: int, message: str, detail: str, code: str, *, retry_after: int | None = None) -> Answered:
    """An error: `message` is AWS's text, `detail` what happened, `code` is stable."""
    headers = () if retry_after is None else (("retry-after", str(retry_after)),)
    return Answered(json_response(status, {"message": message, "detail": detail, "code": code}, headers))


def method_not_allowed(allowed: tuple[str, ...]) -> Answered:
    methods = ", ".join(allowed)
    detail = f"This path takes {methods} only."
    body = {"message": "Method Not Allowed", "detail": detail, "code": "METHOD_NOT_ALLOWED"}
    return Answered(json_response(405, body, (("allow", methods),)))


def json_response(status: int, body: Mapping[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> HttpResponse:
    return HttpResponse(status, (("content-type", "application/json"), *headers), (), json.dumps(body).encode())


async def send_response(incoming: Incoming, response: HttpResponse, send: Send) -> None:
    """Send it, also to a client that is not done sending: it gets its answer, and then the connection is closed."""
    body = b"" if response.status in (204, 304) or incoming.method == "HEAD" else response.body
    await send({"type": "http.response.start", "status": response.status, "headers": _headers(incoming, response)})
    if incoming.unread:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await incoming.drain(_LINGER_SECONDS)
        body = b""
    await send({"type": "http.response.body", "body": body})


def _headers(incoming: Incoming, response: HttpResponse) -> list[tuple[bytes, bytes]]:
    length = str(len(response.body))
    if incoming.method == "HEAD" and not response.body:  # the function may know the length of what it left out
        length = next((value for name, value in response.headers if name == "content-length"), length)
    pairs = [(name, value) for name, value in response.headers if name != "content-length"]
    if response.status not in (204, 304):
        pairs.append(("content-length", length))
    if incoming.unread:
        pairs.append(("connection", "close"))
    pairs += [("set-cookie", cookie) for cookie in response.cookies]
    return [(name.encode(), value.encode()) for name, value in pairs]
