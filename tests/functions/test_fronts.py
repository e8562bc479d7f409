"""Facet's functions answer the same through every front of every cloud: URL, HTTP API, REST API, load balancer."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.events import SHAPES, Shape
from local.testing import Local
from tests.functions import api

VARYING = ("x-request-id", "date", "server-timing", "traceparent")
# What can be asked again and again: status, method, path, and what httpx takes.
REQUESTS: list[tuple[int, str, str, dict[str, Any]]] = [
    (200, "GET", "/health/live", {}),
    (200, "HEAD", "/health/live", {}),
    (200, "GET", "/openapi.json", {}),
    (304, "GET", "/openapi.json", {"if": "etag"}),
    (200, "GET", "/docs", {}),
    (200, "HEAD", "/docs", {}),
    (200, "GET", "/docs/favicon-32x32.png", {}),
    (404, "GET", "/docs/nothing%2F..%2Fnothing", {}),
    (200, "GET", "/problems?code=NO_FACE&code=x%20y", {}),
    (204, "OPTIONS", "/docs", {"headers": {"origin": "http://x", "access-control-request-method": "GET"}}),
    (422, "GET", "/user-info/profile-info", {}),
    (403, "GET", "/user-info/profile-info", {"headers": {"access-token": "no token"}}),
    (200, "GET", "/user-info/profile-info", {"signed": True}),
    (200, "GET", "/3d-model-generation/tasks?limit=5&status=SUCCESS&status=FAILED", {"signed": True}),
    (422, "GET", "/3d-model-generation/tasks?limit=many", {"signed": True}),
    (404, "GET", "/3d-model-generation/tasks/00000000-0000-4000-8000-000000000000", {"signed": True}),
    (422, "POST", "/3d-model-generation/tasks", {"files": {"task_source_file": ("a.jpg", b"\xff\xd8\xff")}}),
    (422, "POST", "/3d-model-generation/tasks", {"signed": True, "files": {"other": ("a.jpg", b"\xff\xd8\xff")}}),
    (422, "POST", "/users/registration", {"json": {"name": "ü", "email": "nobody"}}),
    (422, "POST", "/users/registration", {"content": b"{", "headers": {"content-type": "application/json"}}),
    (422, "POST", "/users/registration", {"content": b"\x00", "headers": {"content-type": "image/png"}}),
    (400, "POST", "/users/authorization", {"json": {"email": "nobody@example.com", "password": "wrong one"}}),
]


@pytest.fixture
def session(project: Local) -> Mapping[str, str]:
    api.register("ada@example.com")
    token: str = api.sign_in("ada@example.com").json()["access_token"]
    return {"access-token": token}


def answers(project: Local, shape: Shape | None, session: Mapping[str, str]) -> list[tuple[Any, ...]]:
    found = []
    with project.http(shape=shape) as http:
        etag = http.get("/api/v1/openapi.json").headers["etag"]
        for _, method, path, given in REQUESTS:
            options = {name: value for name, value in given.items() if name not in ("signed", "if")}
            headers = {**options.pop("headers", {}), **(session if "signed" in given else {})}
            headers |= {"if-none-match": etag} if "if" in given else {}
            headers |= {"content-type": "multipart/form-data; boundary=b"} if "files" in given else {}
            response = http.request(method, f"/api/v1{path}", headers=headers, **options)
            kept = sorted(item for item in response.headers.items() if item[0] not in VARYING)
            body = response.content.replace(response.headers["x-request-id"].encode(), b"REQUEST")
            found.append((method, path, response.status_code, kept, body))
    return found


def test_every_front_gets_the_same_answers(project: Local, session: Mapping[str, str]) -> None:
    expected = answers(project, None, session)
    assert [found[:3] for found in expected] == [(method, path, status) for status, method, path, _ in REQUESTS]
    for shape in SHAPES:
        found = answers(project, shape, session)
        wrong = [(shape, one, other) for one, other in zip(found, expected, strict=True) if one != other]
        assert not wrong, wrong[0]
