"""Spans where a runtime has set up OpenTelemetry's SDK, and nothing of it elsewhere."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from facet import amqp, db, objects, queues, tracing
from facet import broker as rabbit
from facet.cursor import summary
from facet.function import Function
from facet.messages import Message
from facet.problems import Problem
from facet.settings import settings
from tests.conftest import Settings
from tests.functions.test_import_costs import loaded
from tests.layers.shapes import Plain, furl

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"
NUMBER = 1987654321  # longer than any digits that a time or a random id may have in a row by chance


@dataclass
class Spans:
    """What has ended, oldest first."""

    exporter: InMemorySpanExporter
    tracer: trace.Tracer

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter(self.exporter.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self]

    def one(self, name: str) -> ReadableSpan:
        [found] = [span for span in self if span.name == name]
        return found


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("facet")
    monkeypatch.setattr(tracing, "_made", lambda: tracer)
    yield Spans(exporter, tracer)
    provider.shutdown()


@pytest.fixture
def at(database: Settings, broker: Settings, buckets: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Real ones, with queues of the test's own."""
    name = uuid4().hex[:8]
    own = {"RABBITMQ_TASKS_QUEUE": f"tasks.{name}", "RABBITMQ_TASKS_RESULTS_QUEUE": f"results.{name}"}
    for key, value in {**database, **broker, **buckets, **own}.items():
        monkeypatch.setenv(key, value)
    settings.cache_clear()
    db.close()
    objects._client.cache_clear()
    yield {**database, **broker, **buckets, **own}
    amqp.with_channel(
        lambda channel: [channel.queue_delete(f"{queue}{dead}") for queue in own.values() for dead in ("", ".dead")]
    )
    amqp.close()
    db.close()
    objects._client.cache_clear()
    settings.cache_clear()


def ids(span: ReadableSpan) -> tuple[int, int]:
    at = span.get_span_context()
    assert at is not None
    return at.trace_id, at.span_id


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    return (span.parent.trace_id, span.parent.span_id) if span.parent else None


# ---- statements


def test_a_transaction_is_a_span_with_its_statements_below_it(at: Settings, spans: Spans) -> None:
    with db.transaction() as conn:
        conn.execute("SELECT generate_series(1, %(last)s)", {"last": 3})
    assert spans.names() == ["CONNECT", "BEGIN", "SELECT", "COMMIT", "transaction"]
    whole = spans.one("transaction")
    assert {parent(span) for span in spans if span is not whole} == {ids(whole)}
    statement = spans.one("SELECT")
    assert dict(statement.attributes or {}) == {
        "db.system.name": "postgresql",
        "db.query.text": "SELECT generate_series(1, %(last)s)",
        "db.response.returned_rows": 3,
    }
    assert statement.kind is trace.SpanKind.CLIENT


def test_what_is_put_into_a_statement_is_in_no_span(at: Settings, spans: Spans) -> None:
    with db.transaction() as conn:
        conn.execute("SELECT %s::text, %s::int", ("hunter2", NUMBER))
        conn.execute(psycopg.sql.SQL("SELECT {}").format("hunter2"))
    told = [span.to_json() for span in spans]
    assert len(told) == 6
    assert not any("hunter2" in text or str(NUMBER) in text for text in told)


def test_a_statement_that_fails_is_an_error_and_rolled_back(at: Settings, spans: Spans) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero), db.transaction() as conn:
        conn.execute("SELECT 1 / %s", (0,))
    assert spans.names()[-3:] == ["SELECT", "ROLLBACK", "transaction"]
    assert {span.name for span in spans if not span.status.is_ok} == {"SELECT", "transaction"}
    assert (spans.one("SELECT").attributes or {})["error.type"] == "DivisionByZero"
    assert not any(span.events for span in spans)  # an exception's text may quote what people sent


def test_a_refusal_is_named_and_no_error(spans: Spans) -> None:
    class Missing(Problem):
        status = 404

    with pytest.raises(Missing), tracing.span("transaction", "internal", {}):
        raise Missing
    [span] = spans
    assert (span.status.is_ok, (span.attributes or {})["error.type"]) == (True, "Missing")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT 1", "SELECT"),
        ("\n  SELECT id FROM tasks t JOIN users u", "SELECT tasks"),
        ("insert into outbox (a) VALUES (1) ON CONFLICT DO UPDATE SET a = 2", "INSERT outbox"),
        ("UPDATE tasks SET a = 1", "UPDATE tasks"),
        ("DELETE FROM outbox", "DELETE outbox"),
        ("WITH mine AS (SELECT * FROM tasks) SELECT * FROM mine", "SELECT tasks"),
        (db.BEGIN, "BEGIN"),
        ("", "SQL"),
    ],
)
def test_a_statement_is_named_by_operation_and_table(text: str, told: str) -> None:
    assert summary(text) == told


# ---- objects


def test_a_call_of_the_storage_names_operation_and_object(at: Settings, worker: str, spans: Spans) -> None:
    bucket = f"{worker}-traced"
    objects.ensure_bucket(bucket)
    objects.put(bucket, "a key", b"1", content_type="text/plain")
    with pytest.raises(objects.NotFound):
        objects.head(bucket, "no key")
    assert dict(spans.one("S3/PutObject").attributes or {}) == {
        "rpc.system.name": "aws-api",
        "rpc.method": "S3/PutObject",
        "aws.s3.bucket": bucket,
        "aws.s3.key": "a key",
    }
    assert not spans.one("S3/HeadObject").status.is_ok


# ---- messages


def sent(at: Settings, **headers: str) -> Any:
    """The headers of a message that was published with these."""
    queues.declare()
    queue = at["RABBITMQ_TASKS_QUEUE"]
    rabbit.publish(queue=queue, body=b"{}", message_id="m-1", correlation_id="task-1", headers=headers)
    return amqp.with_channel(lambda channel: channel.basic_get(queue, auto_ack=True))[1].headers


def test_a_message_carries_the_trace_of_its_function(at: Settings, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("create_task"):
        headers = sent(at, traceparent="no traceparent")
    producer = spans.one(f"send {at['RABBITMQ_TASKS_QUEUE']}")
    assert producer.kind is trace.SpanKind.PRODUCER
    assert (producer.attributes or {})["messaging.message.conversation_id"] == "task-1"
    assert parent(producer) == ids(spans.one("create_task"))
    assert headers["traceparent"] == "00-{:032x}-{:016x}-01".format(*ids(producer))


def test_a_message_of_another_trace_stays_in_it_and_is_linked(at: Settings, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("relay_outbox"):
        headers = sent(at, traceparent=GIVEN)
    producer = spans.one(f"send {at['RABBITMQ_TASKS_QUEUE']}")
    assert parent(producer) == (int(TRACE, 16), 0x00F067AA0BA902B7)
    assert [(link.context.trace_id, link.context.span_id) for link in producer.links] == [
        ids(spans.one("relay_outbox"))
    ]
    assert headers["traceparent"] == "00-{:032x}-{:016x}-01".format(*ids(producer))


def batch(*traceparents: str) -> dict[str, Any]:
    properties = [{"headers": {"traceparent": {"bytes": list(text.encode())}}} for text in traceparents]
    records = [
        {"basicProperties": each, "data": b64encode(b"{}").decode(), "redelivered": False} for each in properties
    ]
    return {"eventSource": "aws:rmq", "rmqMessagesByQueue": {"results::/": records}}


def test_each_message_of_a_batch_is_processed_in_its_own_trace(spans: Spans) -> None:
    app, seen = Function("example"), list[str | None]()

    @app.consumer
    def consume(message: Message) -> None:
        seen.append(tracing.current())

    other = GIVEN.replace("4bf9", "5bf9")
    app(batch(GIVEN, other), None)
    first, second, invocation = spans
    assert (invocation.name, invocation.kind) == ("example", trace.SpanKind.SERVER)
    for span, given, current in ((first, GIVEN, seen[0]), (second, other, seen[1])):
        assert (span.name, span.kind) == ("process results", trace.SpanKind.CONSUMER)
        assert parent(span) == (int(given[3:35], 16), 0x00F067AA0BA902B7)
        assert current == "00-{:032x}-{:016x}-01".format(*ids(span))
        assert [link.context.span_id for link in span.links] == [ids(invocation)[1]]


# ---- invocations


def test_where_the_runtime_begins_no_span_an_invocation_continues_the_callers_trace(spans: Spans) -> None:
    app = Function("example")
    app.endpoint("GET", "/")(lambda: None)
    app(furl(Plain(headers=[("Traceparent", GIVEN)])), None)
    [span] = spans
    assert (span.name, parent(span)) == ("example", (int(TRACE, 16), 0x00F067AA0BA902B7))


def test_where_the_runtime_has_begun_a_span_there_is_no_other(spans: Spans) -> None:
    app = Function("example")
    app.endpoint("GET", "/")(lambda: None)
    token = context.attach(trace.set_span_in_context(spans.tracer.start_span("the runtime's")))
    app(furl(Plain(headers=[("traceparent", GIVEN)])), None)
    context.detach(token)
    assert spans.names() == []


@pytest.mark.parametrize("headers", [None, [], 5, {"x": 1}, {"traceparent": 5}])
def test_headers_of_strange_events_do_no_harm(spans: Spans, headers: object) -> None:
    app = Function("example")
    app.internal()(lambda: "done")
    assert app({"headers": headers}, None) == "done"


# ---- without the SDK


def test_without_the_sdk_nothing_of_opentelemetry_is_imported() -> None:
    modules = loaded(
        "import functions.create_task.handler\n"
        "from facet import broker, db, objects, tracing\n"
        "with tracing.span('x', 'client', {}, parent='00'): tracing.note({'a': 1})\n"
        "assert tracing.current() is None"
    )
    assert "facet.tracing" in modules
    assert not [name for name in modules if name.startswith("opentelemetry")]
