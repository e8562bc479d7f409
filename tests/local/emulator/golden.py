"""Reads a golden event file: a request, the shape it is sent in, and the event that must come out."""

import base64
from datetime import UTC, datetime
from typing import Any

from local.events import HttpRequest, alb_event, http_event, rest_event

TIME = datetime(2020, 3, 12, 19, 3, 58, 390_000, tzinfo=UTC)


def event_of(case: dict[str, Any]) -> dict[str, Any]:
    given = case["request"]
    request = HttpRequest(
        method=given["method"],
        path=given["path"],
        query=given["query"],
        headers=tuple((name, value) for name, value in given["headers"]),
        body=base64.b64decode(given["base64_body"]) if "base64_body" in given else given.get("body", "").encode(),
        source_ip="192.0.2.7",
        request_id="4b1c7b6e-0000-4000-8000-000000000000",
        time=TIME,
    )
    match case["shape"]:
        case "url":
            return http_event(request)
        case "http":
            return http_event(request, route_key=case["route_key"], path_parameters=case.get("path_parameters"))
        case "rest":
            return rest_event(request, resource=case["resource"], path_parameters=case.get("path_parameters"))
        case "alb":
            return alb_event(request, multi_value=case.get("multi_value", False))
    raise ValueError(f"unknown shape {case['shape']}")
