"""Queue events as messages, with the oddities of the Amazon MQ trigger."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from facet.messages import Message, is_batch, messages_from


def batch(*records: dict[str, Any], key: str = "results::/") -> dict[str, Any]:
    return {"eventSource": "aws:rmq", "eventSourceArn": "arn", "rmqMessagesByQueue": {key: list(records)}}


def record(body: bytes = b"{}", **properties: Any) -> dict[str, Any]:
    return {"basicProperties": properties, "redelivered": False, "data": b64encode(body).decode()}


def only(event: dict[str, Any]) -> Message:
    [message] = messages_from(event)
    return message


DOCUMENTED = {
    "contentType": "text/plain",
    "contentEncoding": None,
    "headers": {"header1": {"bytes": [118, 97, 108, 117, 101, 49]}, "numberInHeader": 10},
    "deliveryMode": 1,
    "priority": 34,
    "correlationId": None,
    "replyTo": None,
    "expiration": "60000",
    "messageId": None,
    "timestamp": "Jan 1, 1970, 12:33:41 AM",
    "type": None,
    "userId": "AIDACKCEVSQ6C2EXAMPLE",
    "appId": None,
    "clusterId": None,
    "bodySize": 80,
}


def test_the_documented_event_is_read() -> None:
    message = only(batch(record(b'{"timeout":0}', **DOCUMENTED), key="pizzaQueue::/"))
    assert message == Message(
        body=b'{"timeout":0}',
        queue="pizzaQueue",
        vhost="/",
        content_type="text/plain",
        headers={"header1": "value1", "numberInHeader": 10},
        timestamp=datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC),
    )


def test_messages_keep_their_order_over_queues() -> None:
    event = batch(record(b"1"), record(b"2"))
    event["rmqMessagesByQueue"]["other::v"] = [record(b"3")]
    assert [(message.body, message.queue) for message in messages_from(event)] == [
        (b"1", "results"),
        (b"2", "results"),
        (b"3", "other"),
    ]


@pytest.mark.parametrize(
    ("key", "queue", "vhost"), [("q::/", "q", "/"), ("q::prod", "q", "prod"), ("a::b::/", "a::b", "/"), ("q", "q", "/")]
)
def test_the_key_names_queue_and_vhost(key: str, queue: str, vhost: str) -> None:
    message = only(batch(record(), key=key))
    assert (message.queue, message.vhost) == (queue, vhost)


def test_header_bytes_may_be_signed_as_in_java() -> None:
    signed = [byte - 256 if byte > 127 else byte for byte in "Zoë".encode()]
    assert only(batch(record(headers={"a": {"bytes": signed}}))).headers == {"a": "Zoë"}


def test_header_tables_and_lists_nest() -> None:
    headers = {"x-death": [{"queue": {"bytes": [113]}, "count": 2}], "ok": True, "none": None, "table": {"bytes": 7}}
    expected = {"x-death": [{"queue": "q", "count": 2}], "ok": True, "none": None, "table": {"bytes": 7}}
    assert only(batch(record(headers=headers))).headers == expected


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("Nov 22, 2026, 8:22:01 PM", datetime(2026, 11, 22, 20, 22, 1, tzinfo=UTC)),
        ("Nov 22, 2026, 8:22:01\u202fPM", datetime(2026, 11, 22, 20, 22, 1, tzinfo=UTC)),
        ("22.11.2026", None),
        (None, None),
    ],
)
def test_the_timestamp_is_javas(text: str | None, time: datetime | None) -> None:
    assert only(batch(record(timestamp=text))).timestamp == time


def test_a_message_without_properties_is_read() -> None:
    message = only(batch({"data": "", "basicProperties": None}))
    assert (message.body, message.headers, message.message_id) == (b"", {}, None)


def test_a_message_shows_no_body_when_printed() -> None:
    assert "s3cret" not in repr(only(batch(record(b"s3cret"))))


CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "m-1",
    "source": "/apis/v1/namespaces/default/rabbitmqsources/consume-results#results",
    "type": "dev.knative.rabbitmq.event",
}


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"datacontenttype": "application/json", "data": {"a": [1]}}, b'{"a": [1]}'),
        ({"datacontenttype": "text/plain", "data": "hello"}, b"hello"),
        ({"data": "hello"}, b'"hello"'),
        ({"data_base64": "//4="}, b"\xff\xfe"),
    ],
    ids=["json", "text", "untyped", "binary"],
)
def test_a_cloud_event_is_one_message(data: dict[str, Any], body: bytes) -> None:
    event = {**CLOUD_EVENT, **data, "time": "2026-11-22T18:54:00Z", "traceparent": "00-x"}
    assert only(event) == Message(
        body=body,
        queue="results",
        vhost="/",
        message_id="m-1",
        type="dev.knative.rabbitmq.event",
        content_type=data.get("datacontenttype"),
        headers={"traceparent": "00-x"},
        timestamp=datetime(2026, 11, 22, 18, 54, tzinfo=UTC),
    )


def test_other_events_are_no_batch() -> None:
    assert is_batch(batch())
    assert is_batch(CLOUD_EVENT)
    assert not is_batch({"Records": []})
