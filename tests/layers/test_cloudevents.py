"""CloudEvents over HTTP, as Knative's RabbitmqSource and PingSource send them."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from facet.adapters.cloudevents import MalformedEvent, Receiver, event_from
from facet.context import Context
from facet.function import Function
from facet.http import Headers, Request, Response
from facet.messages import Message, messages_from
from facet.problems import NotFound, Problem, UnsupportedMediaType

pytestmark = pytest.mark.usefixtures("bare_environment")

SOURCE = "/apis/v1/namespaces/facet/rabbitmqsources/consume-results#generation_task_results"
RABBITMQ = {
    "Ce-Specversion": "1.0",
    "Ce-Id": "m-1",
    "Ce-Source": SOURCE,
    "Ce-Type": "dev.knative.rabbitmq.event",
    "Ce-Subject": "m-1",
    "Ce-Time": "2026-11-22T18:54:00Z",
    "Content-Type": "application/json",
    "Prefer": "reply",
}
PING = {
    "Ce-Specversion": "1.0",
    "Ce-Id": "c8b1b4a2-9a6c-4a0e-8d0e-0f7d1d6a2b11",
    "Ce-Source": "/apis/v1/namespaces/facet/pingsources/relay-outbox",
    "Ce-Type": "dev.knative.sources.ping",
    "Ce-Time": "2026-11-22T18:54:00.123456789Z",
}
STRUCTURED = {"specversion": "1.0", "id": "m-1", "source": SOURCE, "type": "made"}


class AwayError(Problem):
    status, code, title = 503, "DATABASE_UNAVAILABLE", "The database is unavailable"


def binary(headers: dict[str, str], body: bytes = b"", **more: str) -> Request:
    fields = {name.lower(): value for name, value in headers.items()} | {f"ce-{name}": more[name] for name in more}
    return Request("POST", "/", headers=Headers(fields.items()), body=body)


def structured(event: Any, content_type: str = "application/cloudevents+json; charset=UTF-8") -> Request:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return Request("POST", "/", headers=Headers([("Content-Type", content_type)]), body=body)


def only(request: Request) -> Message:
    event = event_from(request)
    assert event is not None
    [message] = messages_from(event)
    return message


def test_a_message_of_a_rabbitmq_source_arrives_as_it_was_published() -> None:
    assert only(binary(RABBITMQ, b'{"a": 1.0, "a": 2}')) == Message(
        body=b'{"a": 1.0, "a": 2}',
        queue="generation_task_results",
        vhost="/",
        message_id="m-1",
        type="dev.knative.rabbitmq.event",
        content_type="application/json",
        timestamp=datetime(2026, 11, 22, 18, 54, tzinfo=UTC),
    )


def test_a_message_without_properties_needs_neither_time_nor_content_type() -> None:
    bare = {name: value for name, value in RABBITMQ.items() if name not in ("Ce-Time", "Content-Type", "Prefer")}
    message = only(binary(bare, b"\xff\x00"))
    assert (message.body, message.content_type, message.timestamp) == (b"\xff\x00", None, None)


@pytest.mark.parametrize(
    ("source", "queue"),
    [
        (SOURCE, "generation_task_results"),
        ("/apis/v1/namespaces/facet/rabbitmqsources/other#my%20queue", "my queue"),
        ("/agents/7", "results_by_setting"),
        ("/agents/7#elsewhere", "results_by_setting"),
        ("/apis/v1/namespaces/facet/rabbitmqsources/other#", "results_by_setting"),
    ],
)
def test_dead_letters_belong_to_the_queue_of_the_source_or_else_of_the_setting(
    source: str, queue: str, bare_environment: pytest.MonkeyPatch
) -> None:
    bare_environment.setenv("RABBITMQ_TASKS_RESULTS_QUEUE", "results_by_setting")
    bare_environment.setenv("RABBITMQ_VHOST", "prod")
    message = only(structured({**STRUCTURED, "source": source}))
    assert (message.queue, message.vhost) == (queue, "prod")


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("Euro%20%E2%82%AC%20%f0%9f%98%80", "Euro € 😀"),
        ('"a \\"b\\" %20c"', 'a "b"  c'),
        ("%2525", "%25"),
        ("50%", "50%"),
        ('"', '"'),
    ],
)
def test_header_values_are_unquoted_and_percent_decoded_once(sent: str, value: str) -> None:
    assert only(binary(RABBITMQ, note=sent)).headers == {"note": value}


def test_headers_of_http_name_no_data() -> None:
    message = only(binary(RABBITMQ, b"{}", data="x", data_base64="eA==", datacontenttype="text/plain"))
    assert (message.body, message.content_type, message.headers) == (b"{}", "application/json", {})


def test_the_trace_of_the_request_goes_on_unless_the_event_has_its_own() -> None:
    assert only(binary({**RABBITMQ, "Traceparent": "00-http"})).headers == {"traceparent": "00-http"}
    both = binary({**RABBITMQ, "Traceparent": "00-http"}, traceparent="00-event")
    assert only(both).headers == {"traceparent": "00-event"}


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"data": {"a": [1]}}, b'{"a": [1]}'),
        ({"data": None}, b"null"),
        ({"datacontenttype": "text/plain", "data": "ü\ud800"}, b"\xc3\xbc\xed\xa0\x80"),
        ({"data_base64": b64encode(b"\xff").decode()}, b"\xff"),
        ({"time": None, "subject": None}, b""),
    ],
    ids=["json", "null", "text", "binary", "none"],
)
def test_the_data_of_structured_mode_is_the_body(data: dict[str, Any], body: bytes) -> None:
    assert only(structured({**STRUCTURED, **data})).body == body


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/"),
        Request("POST", "/", headers=Headers([("content-type", "application/json")]), body=b'{"specversion": "1.0"}'),
        binary({"Ce-Note": "1"}),
    ],
    ids=["bare", "json", "another header"],
)
def test_other_requests_are_no_events(request_: Request) -> None:
    assert event_from(request_) is None


@pytest.mark.parametrize(
    "request_",
    [
        binary({name: value for name, value in RABBITMQ.items() if name != "Ce-Id"}),
        binary({name: value for name, value in RABBITMQ.items() if name != "Ce-Specversion"}),
        binary(RABBITMQ, id=""),
        binary(RABBITMQ, specversion="0.3"),
        binary(RABBITMQ, note="%C0%A0"),
        binary(RABBITMQ, time="yesterday"),
        binary(RABBITMQ, time="2026-11-22T18:54:00"),
        binary(RABBITMQ, time="0001-01-01T00:00:00+05:00"),
        structured(b"{"),
        structured(b"[" * 100_000),
        structured([STRUCTURED]),
        structured({**STRUCTURED, "source": 7}),
        structured({**STRUCTURED, "time": 7}),
        structured({**STRUCTURED, "datacontenttype": 7}),
        structured({**STRUCTURED, "data_base64": "?"}),
        structured({**STRUCTURED, "data_base64": 7}),
        structured({**STRUCTURED, "data_base64": "", "data": 1}),
    ],
)
def test_what_is_no_valid_event_is_refused(request_: Request) -> None:
    with pytest.raises(MalformedEvent):
        event_from(request_)


@pytest.mark.parametrize("kind", ["application/cloudevents-batch+json", "application/cloudevents+avro"])
def test_batches_and_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="One event per request"):
        event_from(structured([STRUCTURED], kind))


@pytest.fixture
def handled() -> list[Any]:
    return []


@pytest.fixture
def consumer(handled: list[Any]) -> Function:
    app = Function("example")
    app.consumer(handled.append)
    return app


def told(app: Function, request: Request) -> Response:
    return Receiver(app).respond(request, Context("example", aws_request_id="r-1"))


def test_an_event_that_was_handled_is_answered_with_nothing(consumer: Function, handled: list[Any]) -> None:
    response = told(consumer, binary(RABBITMQ, b"1"))
    assert (response.status, response.body, [message.body for message in handled]) == (204, "", [b"1"])
    assert ("x-request-id", "r-1") in response.headers


def test_a_ping_is_the_tick_of_a_schedule(handled: list[Any]) -> None:
    app = Function("example")
    app.scheduled(handled.append)
    assert told(app, binary(PING)).status == 204
    assert handled == [datetime(2026, 11, 22, 18, 54, 0, 123456, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AwayError(), 503, "DATABASE_UNAVAILABLE"),
        (KeyError("bug"), 500, "INTERNAL_ERROR"),
        (NotFound(), 500, "INTERNAL_ERROR"),
    ],
)
def test_a_failure_asks_the_sender_to_repeat(error: Exception, status: int, code: str) -> None:
    app = Function("example")

    @app.consumer
    def fail(message: Message) -> None:
        raise error

    response = told(app, binary(RABBITMQ))
    problem = json.loads(response.body)
    assert (response.status, problem["code"], problem["request_id"]) == (status, code, "r-1")


@pytest.mark.parametrize(
    ("request_", "status"),
    [(binary(RABBITMQ, time="never"), 400), (structured([], "application/cloudevents-batch+json"), 415)],
)
def test_an_event_that_cannot_be_read_is_not_asked_for_again(
    consumer: Function, handled: list[Any], request_: Request, status: int
) -> None:
    assert (told(consumer, request_).status, handled) == (status, [])


def test_what_is_no_event_is_answered_as_the_function_does(consumer: Function) -> None:
    assert told(consumer, Request("GET", "/")).status == 404
    assert told(consumer, Request("POST", "/", body=b"{}")).status == 404


def test_no_event_reaches_a_function_that_is_invoked_directly() -> None:
    app, invoked = Function("example"), []

    @app.internal()
    def invoke() -> None:
        invoked.append(1)

    assert (told(app, binary(RABBITMQ)).status, invoked) == (404, [])
