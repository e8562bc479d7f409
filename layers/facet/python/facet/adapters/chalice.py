"""Chalice: what comes to a whole app by API Gateway's REST API or `chalice local`, answered by Facet's functions."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from chalice.app import BaseLambdaEvent
from chalice.app import Request as ChaliceRequest
from chalice.app import Response as ChaliceResponse

from facet import events
from facet.adapters import MAX_BODY, answer, outgoing, too_large
from facet.http import Answers, Request, Response
from facet.replies import Reply

NextHandler = Callable[[ChaliceRequest | None], ChaliceResponse]


def middleware(answers: Answers) -> Callable[[ChaliceRequest | None, NextHandler], ChaliceResponse]:
    """A middleware for `http` that answers in place of the views, which only tell API Gateway which routes there are.

    Chalice would refuse a request without an Accept header, decide by content type what is binary, and speak of
    errors in a form of its own.
    """

    def handle(native: ChaliceRequest | None, get_response: NextHandler) -> ChaliceResponse:
        if native is None:
            return get_response(native)  # no HTTP event at all, which Chalice says
        request, context = request_from(native), native.lambda_context
        if len(request.body) > MAX_BODY:
            return reply_to(request.method, too_large(answers, request, context))
        return reply_to(request.method, answer(answers, request, context))

    return handle


def triggered(function: Callable[[Any, Any], Any], *, name: str) -> Callable[[BaseLambdaEvent], Any]:
    """A view for `app.schedule` and the like, which Chalice knows by `name`: the function gets the event as it came."""

    def view(event: BaseLambdaEvent) -> Any:
        return function(event.to_dict(), event.context)

    view.__name__ = name
    return view


def request_from(native: ChaliceRequest) -> Request:
    """The request in Chalice's, whose own parts have lost what is repeated, and the path."""
    return events.request_from(native.to_original_event())


def reply_to(method: str, response: Response) -> ChaliceResponse:
    """The answer in Chalice's form. Raises ValueError for what no header may have."""
    headers, _ = outgoing(response, method)
    named = [
        ("Content-Type" if name == "content-type" else name, value)
        for name, value in headers
        if name != "content-length"  # API Gateway and `chalice local` write their own
    ]
    return _Encoded.of(Response(response.status, "" if method == "HEAD" else response.body, named))


class _Encoded(Reply):
    """Bytes travel as base64."""

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:
        reply = super().to_dict(None)
        if isinstance(self.body, bytes):
            reply |= {"body": b64encode(self.body).decode("ascii"), "isBase64Encoded": True}
        return reply
