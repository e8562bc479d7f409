"""A delivery becomes the message that an event of Amazon MQ would have made of it."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no py.typed
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facet.adapters.amqp import Unmappable, message_from, pause_after
from facet.messages import Message, messages_from
from local.events import RmqMessage, rmq_event

NAMES = {
    "content_type": "contentType",
    "correlation_id": "correlationId",
    "message_id": "messageId",
    "timestamp": "timestamp",
    "type": "type",
    "headers": "headers",
}
FIELDS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
TEXTS = st.none() | st.text(max_size=20) | st.just(b"\xff\xfe")


def delivered(properties: pika.BasicProperties, body: bytes = b"{}", *, redelivered: bool = False) -> Message:
    return message_from("results", "/", SimpleNamespace(redelivered=redelivered), properties, body)


def by_event(properties: pika.BasicProperties, body: bytes = b"{}", *, redelivered: bool = False) -> Message:
    named = {NAMES[name]: value for name, value in vars(properties).items() if name in NAMES}
    [message] = messages_from(rmq_event("results", "/", [RmqMessage(body, named, redelivered)], broker_arn="arn"))
    return message


@given(
    st.builds(
        pika.BasicProperties,
        content_type=TEXTS,
        correlation_id=TEXTS,
        message_id=TEXTS,
        type=TEXTS,
        timestamp=st.none() | st.integers(0, 2**64 - 1),
        headers=st.none() | st.dictionaries(st.text(max_size=9), FIELDS, max_size=4),
    ),
    st.binary(),
    st.booleans(),
)
def test_every_delivery_is_the_message_of_its_event(
    properties: pika.BasicProperties, body: bytes, redelivered: bool
) -> None:
    expected = by_event(properties, body, redelivered=redelivered)
    assert delivered(properties, body, redelivered=redelivered) == expected


def test_absent_properties_are_absent() -> None:
    assert delivered(pika.BasicProperties(), b"") == Message(body=b"", queue="results", vhost="/")


def test_headers_of_every_type_arrive_as_events_show_them() -> None:
    headers: dict[str, Any] = {
        "text": "ü",
        "bytes": b"\xff",
        "time": datetime(1970, 1, 1, 0, 33, 41),
        "decimal": Decimal("1.5"),
        "nan": float("nan"),
        "list": [1, {"a": None}],
    }
    message = delivered(pika.BasicProperties(headers=headers, timestamp=2021))
    assert message.headers == {
        "text": "ü",
        "bytes": "\ufffd",
        "time": "Jan 1, 1970, 12:33:41 AM",
        "decimal": 1.5,
        "nan": None,
        "list": [1, {"a": None}],
    }
    assert message.timestamp == datetime(1970, 1, 1, 0, 33, 41, tzinfo=UTC)


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else 1


@pytest.mark.parametrize("headers", [ValueError("year 0"), {"x": deep(64)}, {"x": object()}])
def test_what_no_event_can_hold_is_no_message(headers: Any) -> None:
    with pytest.raises(Unmappable, match="its headers"):
        delivered(pika.BasicProperties(headers=headers))


def test_the_pauses_grow_to_half_a_minute() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 5000)] == [1, 2, 4, 8, 16, 30, 30, 30]
