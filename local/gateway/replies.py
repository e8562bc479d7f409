"""The gateway's own answers, and how an answer goes out."""

import html
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from local.events import HttpResponse
from local.gateway.incoming import Incoming, Send

PROBLEM_TYPE = "application/problem+json"
_LINGER_SECONDS = 2.0
_PAGE = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
    "<center><h1>{title}</h1></center>\r\n<p>{detail}</p>\r\n</body>\r\n</html>\r\n"
)


class Answered(Exception):
    """The gateway's own answer, in place of a function's. `error` is what an error says, in the form of RFC 9457."""

    def __init__(self, response: HttpResponse, *, error: Mapping[str, Any] | None = None) -> None:
        self.response, self.error = response, error
        super().__init__(response.status)

    def in_the_form_for(self, incoming: Incoming, request_id: str, *, page: bool = False) -> HttpResponse:
        """The response; an error as problem details for who accepts them, or as the page of a load balancer."""
        if self.error is None:
            return self.response
        if PROBLEM_TYPE in incoming.headers.get("accept", ""):
            body = json.dumps({**self.error, "instance": incoming.path, "request_id": request_id})
            return self._as(PROBLEM_TYPE, body)
        if page:
            title = f"{self.response.status} {HTTPStatus(self.response.status).phrase}"
            return self._as("text/html", _PAGE.format(title=title, detail=html.escape(self.error["detail"])))
        return self.response

    def _as(self, media_type: str, body: str) -> HttpResponse:
        headers = [(name, value) for name, value in self.response.headers if name != "content-type"]
        return HttpResponse(self.response.status, (("content-type", media_type), *headers), (), body.encode())


def problem(
    status: int, message: str, detail: str, code: str, *, headers: tuple[tuple[str, str], ...] = ()
) -> Answered:
    """An error: `message` is AWS's text, `detail` what happened, `code` is stable."""
    response = json_response(status, {"message": message, "detail": detail, "code": code}, headers)
    error = {"type": "about:blank", "title": message, "status": status, "detail": detail, "code": code}
    return Answered(response, error=error)


def not_routed(allowed: tuple[str, ...], *, as_rest: bool) -> Answered:
    """No route takes the request; `allowed` are the methods of those with its path."""
    methods = ", ".join(allowed)
    if as_rest:
        known = f"has only {methods}" if methods else "is none of the API's"
        detail = f"The path {known}; a REST API says of both that a token is missing."
        return problem(403, "Missing Authentication Token", detail, "MISSING_AUTHENTICATION_TOKEN")
    if not methods:
        return problem(404, "Not Found", "Not Found", "NOT_FOUND")
    headers = (("allow", methods),)
    return problem(405, "Method Not Allowed", "Method Not Allowed", "METHOD_NOT_ALLOWED", headers=headers)


def retry_after(seconds: int) -> tuple[tuple[str, str], ...]:
    return (("retry-after", str(seconds)),)


def json_response(status: int, body: Mapping[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> HttpResponse:
    return HttpResponse(status, (("content-type", "application/json"), *headers), (), json.dumps(body).encode())


async def send_response(incoming: Incoming, response: HttpResponse, send: Send) -> None:
    """Send it, also to a client that is not done sending: it gets its answer, and then the connection is closed."""
    body = b"" if incoming.method == "HEAD" else response.body
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
    pairs = [(name, value) for name, value in response.headers if name not in ("content-length", "date")]
    if response.status not in (204, 304):
        pairs.append(("content-length", length))
    if incoming.unread:
        pairs.append(("connection", "close"))
    pairs += [("set-cookie", cookie) for cookie in response.cookies]
    return [(name.encode(), value.encode()) for name, value in pairs]
