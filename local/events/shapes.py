"""One request as the event of whatever stands before a function."""

from collections.abc import Mapping
from typing import Any, get_args

from local.events.http import HttpRequest, alb_event, http_event, rest_event
from local.events.response import Shape

SHAPES: tuple[Shape, ...] = get_args(Shape)


def event_for(
    shape: Shape, request: HttpRequest, *, route: str = "$default", parameters: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`route` is what a path was found by, as in `GET /items/{id}`; `$default` takes every path."""
    if route == "$default":
        parameters = None
    match shape:
        case "furl":
            return http_event(request)
        case "http":
            return http_event(request, route_key=route, path_parameters=parameters)
        case "rest":
            return rest_event(request, resource=route.partition(" ")[2] or None, path_parameters=parameters)
        case "alb" | "alb-multi":
            return alb_event(request, multi_value=shape == "alb-multi")
