"""What stands between a function and the runtimes that are not AWS Lambda: two pure mappings and a wrapper each.

This module has what they share: what of an answer can be sent, and what is said where no function is asked.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from facet import log
from facet.http import Answers, Request, Response, invocation_id
from facet.problems import BodyTooLarge, Problem, refusal

MAX_BODY = 6_291_456  # bytes: what Lambda takes, so that nothing depends on where a function runs

# Of one connection only: they reach neither the function nor its client.
HOP_BY_HOP = frozenset(
    "connection expect keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split()
)
_URL_CHARACTERS = "/%:@!$&'()*+,;=-._~?#[]"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Busy(Problem):
    """More requests wait than are held. Repeat after `Retry-After` seconds."""

    status, code, title = 503, "BUSY", "Service Unavailable"
    headers: Mapping[str, str] = {"Retry-After": "1"}


class GatewayTimeout(Problem):
    """The function takes longer than is waited for it; what it does may happen yet."""

    status, code, title = 504, "GATEWAY_TIMEOUT", "Gateway Time-out"


class HeadersTooLarge(Problem):
    """The address and the headers of the request are longer than is read."""

    status, code, title = 431, "HEADERS_TOO_LARGE", "Request Header Fields Too Large"


def body_too_large() -> BodyTooLarge:
    """The refusal of a body above MAX_BODY, which is not read to its end."""
    return BodyTooLarge(
        f"The request body is larger than the {MAX_BODY} bytes a function takes. "
        "A file goes straight to the storage by POST /uploads."
    )


def too_large(answers: Answers, request: Request, context: Any) -> Response:
    """The same as an answer."""
    return refuse(answers, request, body_too_large(), context)


def refuse(answers: Answers, request: Request, problem: Problem, context: Any) -> Response:
    """The problem in place of an answer, readable for pages of other origins where the answer would be."""
    return answers.with_origin(refusal(problem, request, request_id=invocation_id(context)), request)


def answer(answers: Answers, request: Request, context: Any) -> Response:
    """The answer, whose parts can all be sent: the border at which every failure becomes one."""
    try:
        response = answers.respond(request, context)
        outgoing(response, request.method)
    except (Exception, SystemExit) as error:
        log.get().error("%s %s failed", request.method, request.path, exc_info=error)
        return refuse(answers, request, Problem(), context)
    return response


def encoded(address: bytes) -> str:
    """A path or query as it was sent; what may stand in no URL is percent-encoded too."""
    return quote(address, safe=_URL_CHARACTERS)


def encoded_anew(path: bytes) -> str:
    """A path that was decoded on its way here. It may differ from what was sent: what was %2F is a slash by now."""
    return quote(path, safe="/:@!$&'()*+,;=-._~")


def outgoing(response: Response, method: str) -> tuple[list[tuple[str, str]], bytes]:
    """The headers, cookies included, and the body of an answer as they are sent.

    Raises ValueError for what no header may have.
    """
    body = response.body.encode() if isinstance(response.body, str) else response.body
    body = b"" if method == "HEAD" or response.status in _WITHOUT_BODY else body
    headers = [_checked(name.lower(), value) for name, value in response.fields if name.lower() not in HOP_BY_HOP]
    length = next((value for name, value in headers if name == "content-length" and method == "HEAD"), str(len(body)))
    headers = [item for item in headers if item[0] not in ("content-length", "date")]
    if body and not response.has("content-type"):
        headers.append(("content-type", "application/json"))
    return headers if response.status in _WITHOUT_BODY else [*headers, ("content-length", length)], body


def _checked(name: str, value: str) -> tuple[str, str]:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"the header {name!r} has characters that no header may have")
    return name, value
