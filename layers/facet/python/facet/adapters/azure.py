"""Azure Functions (Python v2): its requests and messages as Facet's, answers back, and the app of all functions."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import azure.functions as func

from facet import log
from facet.adapters import HOP_BY_HOP, MAX_BODY, answer, encoded, outgoing, too_large
from facet.context import Context
from facet.function import Function
from facet.http import Answers, Headers, Request, Response, query_from
from facet.messages import Message
from facet.settings import settings

PAUSES = (1.0, 5.0, 20.0, 60.0)
"""Seconds between attempts at a message. Azure's own five follow each other at once; then it is a dead letter."""

OTHERS = "zz-other-requests"  # Azure tries routes in the order of their functions' names: this one last
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+")

Http = Callable[[func.HttpRequest, func.Context], func.HttpResponse]


def request_from(native: func.HttpRequest) -> Request:
    """The request by its URL: the parameters that Azure reads from it lack repeated and empty ones."""
    url, headers = urlsplit(native.url), dict(native.headers)
    before, _, peer = headers.pop("x-forwarded-for", "").rpartition(",")
    if before:
        headers["x-forwarded-for"] = ", ".join(_without_port(hop) for hop in before.split(","))
    return Request(
        method=native.method,
        path=encoded(url.path.encode()) or "/",
        query=query_from(url.query),
        headers=Headers(item for item in headers.items() if item[0] not in HOP_BY_HOP),
        body=native.get_body(),
        source_ip=_without_port(peer),
    )


def _without_port(hop: str) -> str:
    """An address alone: App Service's front end writes the one it saw behind those that came, with its port."""
    address = hop.strip()
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def reply_to(method: str, response: Response) -> func.HttpResponse:
    """Azure sends one value of a header, so repeated ones are joined. Cookies alone may be several."""
    headers, body = outgoing(response, method)
    single = Headers(item for item in headers if item[0] != "set-cookie")
    native = func.HttpResponse(body, status_code=response.status, headers=single)
    for name, value in headers:
        if name == "set-cookie":
            native.headers.add(name, value)
    return native


def message_from(payload: bytes | str) -> Message:
    """The payload is all that Azure hands over of a message: no id, no type, no headers."""
    body = payload if isinstance(payload, bytes) else payload.encode()
    return Message(body, settings().rabbitmq_tasks_results_queue, settings().rabbitmq_vhost)


def http(answers: Answers, *, timeout: float = 30.0) -> Http:
    """What answers an HTTP trigger. `timeout` is in seconds. The host has read a body whole before it is refused."""

    def view(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        own = Context(context.function_name, timeout, context.invocation_id)
        request = request_from(req)
        fits = len(request.body) <= MAX_BODY
        response = answer(answers, request, own) if fits else too_large(answers, request, own)
        return reply_to(request.method, response)

    return view


def consumer(
    function: Function, *, timeout: float = 30.0, pauses: Sequence[float] = PAUSES
) -> Callable[[bytes, func.Context], None]:
    """What a RabbitMQ trigger calls with each message. What it raises makes Azure publish a copy behind the others."""

    def view(message: bytes, context: func.Context) -> None:
        delivery = message_from(message)
        for pause in pauses:
            try:
                return function.process([delivery], Context(function.app_name, timeout, context.invocation_id))
            except Exception as error:  # the border: any failure may pass
                log.get().warning("the message failed and is tried again in %s s", pause, exc_info=error)
                time.sleep(pause)
        return function.process([delivery], Context(function.app_name, timeout, context.invocation_id))

    return view


def scheduled(function: Function, *, timeout: float = 30.0) -> Callable[[func.TimerRequest, func.Context], None]:
    """What a timer calls."""

    def view(timer: func.TimerRequest, context: func.Context) -> None:
        event = {"detail-type": "Scheduled Event", "source": "azure", "time": datetime.now(UTC).isoformat()}
        function(event, Context(function.app_name, timeout, context.invocation_id))

    return view


def function_app(
    functions: Sequence[Function],
    answers: Answers,
    *,
    timeouts: Mapping[str, float],
    schedules: Mapping[str, str],
    connection: str = "RABBITMQ_CONNECTION",
) -> func.FunctionApp:
    """The app: an Azure function per path, for the results queue and per schedule.

    `answers` answers all requests, so that the answer is right whichever route Azure takes. By name of function,
    `timeouts` has seconds and `schedules` NCRONTAB expressions. `connection` names the setting with RabbitMQ's address.
    """
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)  # Facet itself asks who is calling
    for function in functions:
        timeout = timeouts[function.app_name]
        for name, path, methods in routes(function):
            _add(app, name, app.route(path, methods=methods), http(answers, timeout=timeout))
        if function.consumes:
            queue = app.generic_trigger(
                "message",
                type="rabbitMQTrigger",
                data_type=func.DataType.BINARY,
                queue_name="%RABBITMQ_TASKS_RESULTS_QUEUE%",
                connection_string_setting=connection,
            )
            _add(app, function.app_name, queue, consumer(function, timeout=timeout))
        if function.is_scheduled:
            timer = app.timer_trigger("timer", schedules[function.app_name])
            _add(app, function.app_name, timer, scheduled(function, timeout=timeout))
    longest = max(timeouts[function.app_name] for function in functions if function.routes)
    _add(app, OTHERS, app.route("{*path}", methods=_METHODS), http(answers, timeout=longest))
    return app


def routes(function: Function) -> list[tuple[str, str, list[str]]]:
    """Name, path and methods of each Azure function that a function with endpoints becomes: one takes one path.

    The one of the first path has the function's own name, the others their path behind it.
    """
    found: list[tuple[str, str, list[str]]] = []
    for path, methods in function.routes.items():
        name = f"{function.app_name}-{_SEPARATORS.sub('-', path).strip('-')}" if found else function.app_name
        taken = {*methods, "HEAD"} if "GET" in methods else {*methods}
        found.append((name, f"{settings().path_prefix}{path}".strip("/"), sorted(taken)))
    return found


def _add(app: func.FunctionApp, name: str, trigger: Callable[..., Any], view: Callable[..., Any]) -> None:
    app.function_name(name)(trigger(view))
