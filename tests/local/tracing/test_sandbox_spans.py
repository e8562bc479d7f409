"""What a traced function tells of its invocations."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.invocation import Invocation
from local.invoker import Invoker
from local.sandbox.how import How
from local.template import load

ROOT = "Root=1-6553f100-0123456789abcdef01234567"
HANDLER = """
import os, random, sys

random.seed(7)

def app(event, context):
    if event.get("do") == "import":
        return sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk"))
    from opentelemetry import trace
    trace.get_current_span().set_attribute("own", "word")
    with trace.get_tracer("mine").start_as_current_span("statement", kind=trace.SpanKind.CLIENT) as span:
        span.set_attribute("db.system.name", "postgresql")
        if event.get("do") == "fail":
            raise ValueError("no")
        if event.get("do") == "hang":
            while True: pass
    return os.environ["_X_AMZN_TRACE_ID"]
"""
USUAL = How()
TEMPLATE = """
Resources:
  Traced:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: traced
      CodeUri: code
      Handler: handler.app
      Runtime: python3.13
      Timeout: 1
      Environment: {Variables: {OTEL_SDK_DISABLED: !Ref Disabled, OTEL_TRACES_SAMPLER: always_off}}
Parameters:
  Disabled: {Type: String, Default: "false"}
"""


class Traced:
    """The project brought to life; `spans` is what has come of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        (folder / "code").mkdir(parents=True)
        (folder / "code" / "handler.py").write_text(HANDLER)
        (folder / "template.yaml").write_text(TEMPLATE)
        self.spans: list[dict[str, Any]] = []
        self.runner = asyncio.Runner()
        settings = {"Disabled": options.pop("disabled", "false")}
        template = load(folder / "template.yaml", settings)
        self.invoker = Invoker(
            template, logs=folder / "logs", on_spans=lambda name, spans: self.spans.extend(json.loads(spans)), **options
        )
        self.runner.run(self.invoker.start())

    def invoke(self, *, do: str = "", trace: str | None = ROOT, how: How = USUAL) -> Invocation:
        return self.runner.run(self.invoker.invoke("traced", {"do": do}, request_id="r-1", trace=trace, how=how))

    def told(self, count: int) -> list[dict[str, Any]]:
        """The spans when there are so many, by their start."""

        async def wait() -> None:
            async with asyncio.timeout(20):
                while len(self.spans) < count:
                    await asyncio.sleep(0.005)

        self.runner.run(wait())
        return sorted(self.spans, key=lambda span: span["start"])

    def close(self) -> None:
        self.runner.run(self.invoker.stop(grace=0.5))
        self.runner.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Callable[..., Traced]]:
    made: list[Traced] = []

    def make(**options: Any) -> Traced:
        made.append(Traced(tmp_path / str(len(made)), **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_an_invocation_is_a_server_span_and_what_the_handler_does_lies_below_it(
    project: Callable[..., Traced],
) -> None:
    traced = project()
    before = time.time()
    done = traced.invoke(trace=f"{ROOT};Parent=00f067aa0ba902b7;Sampled=1")
    server, statement = traced.told(2)
    assert json.loads(done.payload) == f"{ROOT};Parent=00f067aa0ba902b7;Sampled=1"
    assert (server["trace_id"], server["parent_id"]) == ("6553f1000123456789abcdef01234567", "00f067aa0ba902b7")
    assert (server["service"], server["name"], server["kind"], server["status"]) == (
        "traced", "traced", "server", "unset",
    )  # fmt: skip
    assert server["attributes"] == {"faas.invocation_id": "r-1", "faas.coldstart": True, "own": "word"}
    assert (statement["trace_id"], statement["parent_id"]) == (server["trace_id"], server["span_id"])
    assert before < server["start"] <= statement["start"] <= statement["end"] <= server["end"] < time.time()
    assert done.report.calls["sql"][0] == 1
    assert "SQL: 1 in " in str(done.report)


def test_without_a_parent_an_invocation_begins_the_trace_it_was_given(project: Callable[..., Traced]) -> None:
    traced = project()
    traced.invoke()
    traced.invoke(trace=None)
    first, second = [span for span in traced.told(4) if span["name"] == "traced"]
    assert (first["trace_id"], first["parent_id"]) == ("6553f1000123456789abcdef01234567", None)
    assert second["trace_id"] != first["trace_id"]
    assert [span["attributes"]["faas.coldstart"] for span in (first, second)] == [True, False]


def test_a_seeded_generator_does_not_repeat_ids(project: Callable[..., Traced]) -> None:
    first, second = project(), project()
    first.invoke()
    second.invoke()
    assert not {span["span_id"] for span in first.told(2)} & {span["span_id"] for span in second.told(2)}


def test_a_failure_names_its_type(project: Callable[..., Traced]) -> None:
    traced = project()
    assert traced.invoke(do="fail").function_error
    server, _ = traced.told(2)
    assert (server["status"], server["attributes"]["error.type"]) == ("error", "ValueError")


@pytest.mark.parametrize("how", [How(fresh=True), How(frozen_at=0.0)], ids=["fresh", "frozen"])
def test_what_is_measured_or_replayed_is_not_traced(project: Callable[..., Traced], how: How) -> None:
    traced = project()
    assert json.loads(traced.invoke(do="import", how=how).payload) == []
    assert traced.spans == []


def test_an_honest_cold_start_is_not_traced(project: Callable[..., Traced]) -> None:
    assert json.loads(project(honest_cold=True).invoke(do="import").payload) == []


def test_a_function_may_want_no_tracing(project: Callable[..., Traced]) -> None:
    traced = project(disabled="true")
    traced.invoke()
    assert traced.invoke().report.calls == {}
    assert traced.spans == []
