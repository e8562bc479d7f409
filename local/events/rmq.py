"""The `aws:rmq` event of Amazon MQ for RabbitMQ: one queue's batch, without delivery tag, exchange or routing key."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

_DEEPEST = 64  # levels of tables and lists in a header; JSON readers give up somewhere above
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class MalformedMessage(Exception):
    """No event can hold the message; the text says why."""


@dataclass(frozen=True)
class RmqMessage:
    """A delivery. `properties` has AMQP's names in camel case; absent ones are null in the event.

    In place of headers that could not be decoded stands the exception that says why.
    """

    body: bytes
    properties: Mapping[str, Any] = field(default_factory=dict)
    redelivered: bool = False


PROPERTIES = (
    "contentType",
    "contentEncoding",
    "headers",
    "deliveryMode",
    "priority",
    "correlationId",
    "replyTo",
    "expiration",
    "messageId",
    "timestamp",
    "type",
    "userId",
    "appId",
    "clusterId",
)


def rmq_event(queue: str, vhost: str, messages: Sequence[RmqMessage], *, broker_arn: str) -> dict[str, Any]:
    """Raises MalformedMessage."""
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": broker_arn,
        "rmqMessagesByQueue": {f"{queue}::{vhost}": [rmq_record(message) for message in messages]},
    }


def rmq_record(message: RmqMessage) -> dict[str, Any]:
    """Raises MalformedMessage."""
    properties: dict[str, Any] = {name: text(message.properties.get(name)) for name in PROPERTIES}
    if isinstance(properties["headers"], Exception):
        raise MalformedMessage(f"its headers cannot be read: {properties['headers']}")
    if properties["headers"] is not None:
        properties["headers"] = _table(properties["headers"], 0)
    if properties["timestamp"] is not None:
        properties["timestamp"] = _java_time(properties["timestamp"])
    properties["bodySize"] = len(message.body)
    return {
        "basicProperties": properties,
        "redelivered": message.redelivered,
        "data": base64.b64encode(message.body).decode(),
    }


def text(value: Any) -> Any:
    """pika leaves a short string that is no UTF-8 as bytes. Java's client reads it like this."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _table(table: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    return {text(name): _field(value, depth + 1) for name, value in table.items()}


def _field(value: Any, depth: int) -> Any:
    """A header value as Java's client holds it: long strings are bytes, numbers are plain."""
    if depth > _DEEPEST:
        raise MalformedMessage(f"its headers nest deeper than {_DEEPEST} levels")
    match value:
        case str():
            return {"bytes": list(value.encode())}
        case bytes():
            return {"bytes": list(value)}
        case datetime():
            return _java_time(int(value.replace(tzinfo=value.tzinfo or UTC).timestamp()))
        case Decimal():
            return float(value)
        case float() if not math.isfinite(value):
            return None
        case list() | tuple():
            return [_field(item, depth + 1) for item in value]
        case dict():
            return _table(value, depth)
        case None | bool() | int() | float():
            return value
    raise MalformedMessage(f"its headers hold a {type(value).__name__}")


def moment(seconds: int) -> datetime | None:
    """When a message says it was sent. Anybody may publish: a date that is none is left out."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _java_time(seconds: int) -> str | None:
    """`Jan 1, 1970, 12:33:41 AM`: how Java prints a date in the United States."""
    if (time := moment(seconds)) is None:
        return None
    half = "AM" if time.hour < 12 else "PM"
    return f"{_MONTHS[time.month - 1]} {time.day}, {time.year}, {time.hour % 12 or 12}:{time:%M:%S} {half}"
