"""What the agent tells of a task, and that telling it is never in the way."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from local.agent import reports, spans
from local.agent.avatar import Progress
from local.agent.reports import Report
from local.agent.task import Task
from tests.local.agent.queues import Queues
from tests.local.agent.test_consumer import TRACE, consuming, succeed


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Where spans go, as if a collector were set."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("agent")
    monkeypatch.setattr(spans, "_tracer", lambda: tracer)
    yield exporter
    provider.shutdown()


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def traceparent(span: ReadableSpan) -> str:
    at = span.get_span_context()
    assert at is not None
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-01"


def test_a_task_is_a_span_of_its_messages_trace_with_stages_and_answers_below_it(
    queues: Queues, exporter: InMemorySpanExporter
) -> None:
    with consuming(queues.settings(), succeed):
        task = queues.send_task(headers={"traceparent": TRACE})
        answers = queues.answers_until_end()
    [process] = named(exporter, f"process {queues.tasks}")
    [stage] = named(exporter, "fitting")
    sent = named(exporter, f"send {queues.results}")
    assert process.parent is not None
    assert f"00-{process.parent.trace_id:032x}-{process.parent.span_id:016x}-01" == TRACE
    assert process.kind is trace.SpanKind.CONSUMER
    assert (process.attributes or {})["messaging.message.conversation_id"] == task
    above = [span.parent for span in (stage, *sent) if span.parent]
    assert [f"00-{at.trace_id:032x}-{at.span_id:016x}-01" for at in above] == [traceparent(process)] * 3
    assert [answer.properties.headers["traceparent"] for answer in answers] == [traceparent(span) for span in sent]


def fail(task: Task, progress: Progress) -> Report:
    return reports.invalid_input(task, "NO_FACE", "no face")


def test_a_task_that_comes_to_nothing_is_an_error_with_its_code(queues: Queues, exporter: InMemorySpanExporter) -> None:
    with consuming(queues.settings(), fail):
        queues.send_task()
        queues.answers_until_end()
    [process] = named(exporter, f"process {queues.tasks}")
    assert (process.status.is_ok, (process.attributes or {})["error.type"]) == (False, "NO_FACE")
    assert process.parent is None


def test_without_a_collector_nothing_is_recorded() -> None:
    spans.start({})()
    with spans.message("process", "tasks", {"traceparent": TRACE}, "t") as (span, headers):
        assert not span.is_recording()
    assert headers == {"traceparent": TRACE}
