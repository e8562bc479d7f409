"""Google Cloud Run functions: the requests (Flask's) and events (the CloudEvents SDK's) of functions-framework."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import flask
from cloudevents.http import CloudEvent
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as BaseResponse

from facet.adapters import cloudevents, wsgi
from facet.context import Context
from facet.function import Function
from facet.http import Answers


class _Response(flask.Response):
    """Says no content type where there is none; Flask's own says of every answer that it is HTML."""

    default_mimetype = None


def http(answers: Answers, *, name: str = "facet", timeout: float = 30.0) -> Callable[[flask.Request], BaseResponse]:
    """A view for `functions_framework.http`, which knows it by `name`. `timeout` is in seconds.

    The mappings are WSGI's: Flask's own request has its path decoded and reads a body of any size.
    """
    application = wsgi.application(answers, timeout=timeout)

    def view(native: flask.Request) -> BaseResponse:
        return _Response.from_app(application, native.environ, buffered=True)

    view.__name__ = name
    return view


def cloud_event(function: Function, *, timeout: float = 30.0) -> Callable[[CloudEvent], None]:
    """A view for `functions_framework.cloud_event`. What it raises is answered 500, and the trigger repeats.

    But for BadRequest: what CloudEvents forbids and the SDK lets pass is answered 400, as no repetition helps.
    """

    def view(native: CloudEvent) -> None:
        event = event_from(native)
        try:
            cloudevents.check(event)
        except cloudevents.MalformedEvent as error:
            raise BadRequest(error.detail) from error
        function(event, Context(function.app_name, timeout))

    view.__name__ = function.app_name
    return view


def event_from(native: CloudEvent) -> dict[str, Any]:
    """The event as JSON has it. Data that are no JSON stay bytes in the framework, and travel as base64."""
    event: dict[str, Any] = dict(native.get_attributes())
    data = native.get_data()
    if isinstance(data, bytes | bytearray):
        return event | {"data_base64": b64encode(data).decode()}
    return event if data is None else event | {"data": data}
