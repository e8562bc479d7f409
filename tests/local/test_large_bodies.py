"""Bodies beyond the payload limit of functions: what the product's gateway says of them."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import httpx

from local import template
from local.gateway.app import create_app
from local.gateway.call import Answering
from local.invocation import LIMITS
from tests.stacks import PROJECT


def post(path: str, body: bytes) -> httpx.Response:
    """Under the limits of Lambda, to a gateway whose functions are never reached."""
    invoker = cast(Answering, SimpleNamespace(limits=LIMITS["lambda"], broken={}))
    app: Any = create_app(template.load(PROJECT / "template.yaml"), invoker)

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post(path, content=body)

    return asyncio.run(call())


def test_a_photo_too_large_for_a_function_is_a_413_that_names_the_way_by_an_upload() -> None:
    for path in ("/api/v1/3d-model-generation/tasks", "/api/v1/integrations/3d-model-generation/tasks"):
        answer = post(path, b"x" * 7_000_000)
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
        assert "POST /uploads" in answer.json()["detail"]
