"""Builds the event of `facet invoke`: given as a file, made of a body or a file, in the shape of any HTTP source."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from local import template
from local.cloud import environment
from local.cloud.project import Project
from local.events import HttpRequest, RmqMessage, alb_event, http_event, rest_event, rmq_event, schedule_event
from local.template.spec import FunctionSpec, Route

SHAPES: dict[str, Callable[[HttpRequest], dict[str, Any]]] = {
    "furl": http_event,
    "rest": rest_event,
    "alb": alb_event,
}


class CannotBuild(Exception):
    """The options do not make an event; the text says which and why."""


def build(
    project: Project,
    name: str,
    *,
    event_file: BinaryIO | None,
    body: str | None,
    photo: str | None,
    headers: Sequence[str],
    method: str | None,
    path: str | None,
    shape: str,
) -> Any:
    """The event for function `name`. Raises CannotBuild, TemplateError and EnvironmentUnreadable."""
    functions = template.load(project.template, environment.effective(project.root)).functions
    if name not in functions:
        raise CannotBuild(f"There is no function {name}. There are: {', '.join(sorted(functions))}.")
    if event_file is not None:
        return _parsed(event_file.read(), "--event")
    function = functions[name]
    if function.schedules and body is None and not path:
        return schedule_event(function.schedules[0].name, datetime.now(UTC))
    if function.queues and not path:
        if body is not None:
            mapping = function.queues[0]
            return rmq_event(mapping.queue, "/", [RmqMessage(body.encode())], broker_arn=mapping.broker_arn)
        raise CannotBuild(
            f"{name} is triggered by a queue: give it a message with --body, or a whole event with --event."
        )
    if not function.routes and not (function.url and path):
        return _parsed((body or "{}").encode(), "--body")
    return SHAPES[shape](_request(function, body, photo, headers, method, path))


def _request(
    function: FunctionSpec,
    body: str | None,
    photo: str | None,
    headers: Sequence[str],
    method: str | None,
    path: str | None,
) -> HttpRequest:
    if function.routes:
        route = _route(function, method)
        method, path = method or route.method, path or _filled(route)
    pairs = [("host", "localhost"), *map(_header, headers)]
    content = b""
    if photo is not None:
        content_type, content = _form(photo)
        pairs.append(("content-type", content_type))
    elif body is not None:
        content = body.encode()
        pairs.append(("content-type", "application/json"))
    address, _, query = (path or "/").partition("?")
    return HttpRequest(method or "GET", address, query, tuple(pairs), content)


def _route(function: FunctionSpec, method: str | None) -> Route:
    for route in function.routes:
        if method is None or route.method in (method, "ANY"):
            return route
    known = ", ".join(f"{route.method} {route.path}" for route in function.routes)
    raise CannotBuild(f"{function.name} has no route with method {method}. It has: {known}.")


def _filled(route: Route) -> str:
    if "{" in route.path:
        raise CannotBuild(f"The route is {route.path}: give the whole path with --path.")
    return route.path


def _header(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon:
        raise CannotBuild(f"--header takes 'NAME: VALUE', not {given!r}.")
    return name.strip().lower(), value.strip()


def _form(given: str) -> tuple[str, bytes]:
    """A multipart form of one file; its field is called `file` unless given as FIELD=PATH."""
    field, equals, name = given.partition("=")
    field, file = (field, Path(name)) if equals else ("file", Path(given))
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise CannotBuild(f"--file: {exc.strerror}: {file}") from exc
    request = httpx.Request("POST", "http://localhost", files={field: (file.name, content)})
    return request.headers["content-type"], request.read()


def _parsed(text: bytes, option: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise CannotBuild(f"{option} is no JSON: {exc}") from exc
