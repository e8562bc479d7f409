"""CloudEvents 1.0 over HTTP, as Knative's sources send them: a message or a schedule's tick per request.

An event that was handled is answered 204. 503 says that what the function needs is away, 500 that it failed; after
both the sender repeats. 400 and 415 say that no repetition helps.
"""

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from facet import log
from facet.function import Function
from facet.http import Answers, Request, Response, finished, invocation_id
from facet.problems import Problem, UnsupportedMediaType

_REQUIRED = ("specversion", "id", "source", "type")
_OF_THE_BODY = frozenset({"data", "data_base64", "datacontenttype"})
_ESCAPED = re.compile(r"\\(.)")


class MalformedEvent(Problem):
    """The request is no valid CloudEvent 1.0; `detail` says what is wrong. Repeating it changes nothing."""

    status, code, title = 400, "MALFORMED_EVENT", "The event cannot be read"


class Receiver(Answers):
    """A function whose events come as HTTP requests. What is no CloudEvent it answers as the function does."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def respond(self, request: Request, context: Any) -> Response:
        if request.method != "POST" or not (self._function.consumes or self._function.is_scheduled):
            return self._function.respond(request, context)
        request_id = invocation_id(context)
        with log.context(function=self._function.app_name, request_id=request_id):
            try:
                event = event_from(request)
                if event is None:
                    return self._function.respond(request, context)
                self._function(event, context)
            except Exception as error:  # the border: every failure is an answer
                return answer(replace(request, request_id=request_id), _problem(error))
        return answer(replace(request, request_id=request_id))


def event_from(request: Request) -> dict[str, Any] | None:
    """The event of a request in binary or structured mode; None when it is no CloudEvent.

    Raises MalformedEvent, and UnsupportedMediaType for a batch or another format than JSON.
    """
    if request.content_type.startswith("application/cloudevents"):
        event = _structured(request)
    elif any(f"ce-{name}" in request.headers for name in _REQUIRED):
        event = _binary(request)
    else:
        return None
    check(event)
    if "traceparent" in request.headers:
        event.setdefault("traceparent", request.headers["traceparent"])
    return event


def answer(request: Request, problem: Problem | None = None) -> Response:
    """What the sender of an event is told: 204, or the problem that kept it from being handled."""
    response = Response(204) if problem is None else problem.render(request, kept=False)
    return finished(response, method=request.method, request_id=request.request_id)


def _problem(error: Exception) -> Problem:
    """Only the two problems of reading are the event's own fault; to repeat is right after every other failure."""
    if not isinstance(error, Problem):
        log.get().error("the event failed", exc_info=error)
        return Problem()
    log.get().warning("%s: %s", error.code, error.detail, extra=log.cause(error))
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, MalformedEvent | UnsupportedMediaType):
        return error
    return Problem()


def _structured(request: Request) -> dict[str, Any]:
    if request.content_type != "application/cloudevents+json":
        kind = "a batch" if request.content_type.startswith("application/cloudevents-batch") else request.content_type
        raise UnsupportedMediaType(
            f"One event per request is read, in binary mode or as application/cloudevents+json, not {kind}"
        )
    try:
        event = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent("The body is no JSON") from error
    if not isinstance(event, dict):
        raise MalformedEvent("The body is no JSON object")
    return {name: value for name, value in event.items() if value is not None or name == "data"}


def _binary(request: Request) -> dict[str, Any]:
    """The body stays as it came, whatever its content type says."""
    named = [(name[3:], value) for name, value in request.headers.items() if name.startswith("ce-")]
    event: dict[str, Any] = {name: _decoded(value) for name, value in named if name not in _OF_THE_BODY}
    if "content-type" in request.headers:
        event["datacontenttype"] = request.headers["content-type"]
    return event | {"data_base64": b64encode(request.body).decode()}


def _decoded(value: str) -> str:
    """A header's value as the HTTP binding (3.1.3.2) writes it: percent-encoded once, or quoted by older senders."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise MalformedEvent("A header is percent-encoded, but not as UTF-8") from error


def check(event: Mapping[str, Any]) -> None:
    """Raises MalformedEvent."""
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise MalformedEvent(f"The attribute {name} is missing or no text")
    if event["specversion"] != "1.0":
        raise MalformedEvent("The attribute specversion is not 1.0")
    if not isinstance(event.get("datacontenttype", ""), str):
        raise MalformedEvent("The attribute datacontenttype is no text")
    if "data_base64" in event:
        _check_base64(event)
    if "time" in event:
        _check_time(event["time"])


def _check_base64(event: Mapping[str, Any]) -> None:
    if "data" in event:
        raise MalformedEvent("There are both data and data_base64")
    try:
        b64decode(event["data_base64"], validate=True)
    except (Base64Error, TypeError, ValueError) as error:
        raise MalformedEvent("data_base64 is no base64") from error


def _check_time(time: Any) -> None:
    try:
        at = datetime.fromisoformat(time)
        at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise MalformedEvent("The attribute time is no time of RFC 3339") from error
    if at.tzinfo is None:
        raise MalformedEvent("The attribute time has no offset from UTC")
