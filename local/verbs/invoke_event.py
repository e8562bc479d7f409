"""Builds the event of `facet invoke`: given as a file, or made of a body in the shape of what triggers the function."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

from local.cloud.project import Project
from local.events import RmqMessage, Shape, cloud_event, event_for, message_event, rmq_event
from local.events.check import InvalidEvent, check
from local.gateway.routes import RouteTable
from local.suggestions import there_are
from local.template.spec import FunctionSpec, Route
from local.triggers.schedule import event_of
from local.verbs.requests import CannotBuild, content_of, parsed, request


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
    shape: Shape | str | None,
    checked: bool = True,
) -> Any:
    """The event for function `name`; `shape` is that of an HTTP event, or `cloudevent`; None is what the template says.

    Raises CannotBuild, TemplateError and EnvironmentUnreadable.
    """
    functions = project.read().functions
    if name not in functions:
        raise CannotBuild(f"There is no function {name}. {there_are(functions, name)}")
    if event_file is not None:
        return _given(parsed(event_file.read(), "--event"), checked)
    function = functions[name]
    if shape == "cloudevent":
        return _cloud_event(function, body)
    if function.schedules and body is None and not path:
        due = event_of(function.schedules[0], datetime.now(UTC))
        return parsed(due, "the schedule's Input") if isinstance(due, bytes) else due
    if function.queues and not path:
        if body is None:
            raise CannotBuild(
                f"{name} is triggered by a queue: give it a message with --body, or a whole event with --event."
            )
        mapping = function.queues[0]
        return rmq_event(mapping.queue, "/", [RmqMessage(content_of(body)[1])], broker_arn=mapping.broker_arn)
    if not function.routes and not (function.url and path):
        return parsed(content_of(body or "{}")[1], "--body")
    route = _route(function, method, path, body is not None or photo is not None) if function.routes else None
    asked = request(
        method or (route.method if route and route.method != "ANY" else None),
        path or (_filled(route) if route else None),
        headers=headers,
        body=body,
        file=photo,
    )
    if route is None:
        return event_for(shape or "furl", asked)  # type: ignore[arg-type]  # what is no Shape has been dealt with
    match = RouteTable([route]).match(asked.method, asked.path)
    key = route.key if match else "$default"
    shape = shape or ("furl" if function.url or not match else route.kind)
    return event_for(shape, asked, route=key, parameters=match and match.parameters)  # type: ignore[arg-type]  # as above


def _given(event: Any, checked: bool) -> Any:
    if checked:
        try:
            check(event)
        except InvalidEvent as exc:
            raise CannotBuild(f"{exc}\nCorrect the file, or send it as it is with --no-check.") from exc
    return event


def _cloud_event(function: FunctionSpec, body: str | None) -> dict[str, Any]:
    """Of a queue's function the message as Knative's source sends it."""
    media_type, data = content_of(body or "{}")
    if function.queues:
        mapping = function.queues[0]
        return message_event(mapping.queue, mapping.name, RmqMessage(data, {"contentType": media_type}))
    return cloud_event(
        source="/facet/invoke",
        type="dev.facet.invoke",
        id=str(uuid.uuid4()),
        time=datetime.now(UTC),
        data=data,
        content_type=media_type,
    )


def _route(function: FunctionSpec, method: str | None, path: str | None, content: bool) -> Route:
    """Of those with the method that of the path, rather one that takes content if there is some."""
    found = [route for route in function.routes if method is None or route.method in (method.upper(), "ANY")]
    if path:
        place = path.partition("?")[0]
        found = [route for route in found if RouteTable([route]).match(route.method, place)] or found
    if found:
        bare = ("GET", "HEAD", "DELETE") if content and method is None else ()
        return min(found, key=lambda route: (route.method in bare, "{" in route.path and not path))
    known = ", ".join(f"{route.method} {route.path}" for route in function.routes)
    raise CannotBuild(f"{function.name} has no route with method {method}. It has: {known}.")


def _filled(route: Route) -> str:
    if "{" in route.path:
        raise CannotBuild(f"The route is {route.path}: give the whole path with --path.")
    return "/" if route.path == "$default" else route.path
