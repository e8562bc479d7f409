"""Whatever an operation does, it does it for nobody without credentials, nor for wrong ones."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from infra.openapi import TARGET
from tests.stacks import Stack

pytestmark = pytest.mark.xdist_group("stack")

DOCUMENT: dict[str, Any] = json.loads(TARGET.read_text(encoding="utf-8"))
WRONG = {
    "accessToken": {"access-token": "x.y.z"},
    "bearer": {"authorization": "Bearer x"},
    "apiKey": {"x-api-key": "x"},
}


def secured() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if operation["security"]:
                yield method, path, operation


SECURED = list(secured())
IDS = [operation["operationId"] for _, _, operation in SECURED]


def ask(stack: Stack, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
    whole = stack.api + re.sub(r"\{\w+\}", "1", path)
    return httpx.request(
        method, whole, headers={"accept": "application/problem+json", **headers}, trust_env=False, timeout=30
    )


@pytest.mark.parametrize(("method", "path", "operation"), SECURED, ids=IDS)
def test_nothing_is_done_without_credentials(
    stack: Stack, method: str, path: str, operation: Mapping[str, Any]
) -> None:
    answer = ask(stack, method, path, {})
    by_key = "apiKey" in operation["security"][0]
    assert answer.json()["code"] == ("API_KEY_REQUIRED" if by_key else "VALIDATION_FAILED")
    assert str(answer.status_code) in operation["responses"]
    assert by_key or "access-token" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path", "operation"), SECURED, ids=IDS)
def test_nothing_is_done_with_wrong_credentials(
    stack: Stack, method: str, path: str, operation: Mapping[str, Any]
) -> None:
    for scheme in (scheme for requirement in operation["security"] for scheme in requirement):
        answer = ask(stack, method, path, WRONG[scheme])
        assert answer.json()["code"] == ("API_KEY_INVALID" if scheme == "apiKey" else "TOKEN_INVALID")
        assert str(answer.status_code) in operation["responses"]
