"""Golden requests: through whatever front one comes, over a real connection, the function's answer is the same."""

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.events import SHAPES, Shape
from local.gateway.app import create_app
from tests.local.emulator.lab import Lab, lab
from tests.local.emulator.wire import Answer, ask, serving

CASES = {
    file.stem: json.loads(file.read_text()) for file in sorted((Path(__file__).parent / "requests").glob("*.json"))
}
# Each answer's own: when, and which invocation it was.
VARYING = ("date", "x-request-id")


@dataclass(frozen=True)
class Fronts:
    sample: Lab
    ports: dict[Shape, int]

    def ask(self, shape: Shape, request: bytes) -> Answer:
        return self.sample.run(ask(self.ports[shape], request))


@pytest.fixture(scope="module")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    """The sample behind every front, each on a port of its own."""
    with lab(tmp_path_factory.mktemp("sample")) as sample:
        running = contextlib.AsyncExitStack()

        async def start() -> dict[Shape, int]:
            apps = {shape: create_app(sample.template, sample.invoker, shape=shape) for shape in SHAPES}
            return {shape: await running.enter_async_context(serving(app)) for shape, app in apps.items()}

        ports = sample.run(start())
        try:
            yield Fronts(sample, ports)
        finally:
            sample.run(running.aclose())


def request_of(case: dict[str, Any], base: str) -> bytes:
    head = "\r\n".join(case["request"]).replace("{base}", base)
    if "repeated_body" in case:
        byte, times = case["repeated_body"]
        body: bytes = bytes([byte]) * times
    else:
        body = base64.b64decode(case["base64_body"]) if "base64_body" in case else case.get("body", "").encode()
    return head.encode() + b"\r\n\r\n" + body


def expected(case: dict[str, Any], shape: Shape) -> tuple[int, list[tuple[str, str]], bytes]:
    answer = case.get("fronts", {}).get(shape) or case["answer"]
    if "json" in answer:
        body = json.dumps(answer["json"]).encode()
    else:
        body = base64.b64decode(answer["base64_body"]) if "base64_body" in answer else answer["body"].encode()
    headers = dict(answer["headers"])
    if body:
        headers.setdefault("content-length", str(len(body)))
    pairs = [(name, one) for name, value in headers.items() for one in (value if isinstance(value, list) else [value])]
    return answer["status"], sorted(pairs), body


@pytest.mark.parametrize("base", ["/fn/portable", "/portable"])
@pytest.mark.parametrize(
    ("name", "shape"),
    [(name, shape) for name in CASES for shape in SHAPES if shape not in CASES[name].get("without", {})],
)
def test_a_golden_request_has_its_answer_through_every_front(
    fronts: Fronts, name: str, shape: Shape, base: str
) -> None:
    answer = fronts.ask(shape, request_of(CASES[name], base))
    headers = [(key, value) for key, value in answer.headers if key not in VARYING]
    assert (answer.status, sorted(headers), answer.body) == expected(CASES[name], shape)
    assert [key for key, _ in answer.headers if key in VARYING] == ["date", "x-request-id"]


def test_what_single_values_lose_is_what_a_balancer_loses(fronts: Fronts) -> None:
    repeated = fronts.ask("alb", request_of(CASES["repeated_query"], "/fn/portable"))
    assert json.loads(repeated.body)["query"] == {"b": ["1"], "a": ["1"]}


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 30
    assert all(case["what"] for case in CASES.values())


def test_without_a_shape_the_template_decides(tmp_path: Path) -> None:
    with lab(tmp_path) as sample:

        async def both() -> tuple[Answer, Answer]:
            async with serving(sample.app) as port:
                head = b" HTTP/1.1\r\nhost: localhost\r\n\r\n"
                return await asyncio.gather(ask(port, b"GET /fn/echo/x" + head), ask(port, b"GET /old/x" + head))

        url, rest = (json.loads(answer.body)["event"] for answer in sample.run(both()))
    assert (url["version"], rest["resource"]) == ("2.0", "/old/{name}")
