"""The `aws:rmq` event of Amazon MQ for RabbitMQ: one queue's batch, without delivery tag, exchange or routing key."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class RmqMessage:
    """A delivery. `properties` has AMQP's names in camel case; absent ones are null in the event."""

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
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": broker_arn,
        "rmqMessagesByQueue": {f"{queue}::{vhost}": [rmq_record(message) for message in messages]},
    }


def rmq_record(message: RmqMessage) -> dict[str, Any]:
    properties: dict[str, Any] = {name: message.properties.get(name) for name in PROPERTIES}
    if properties["headers"] is not None:
        properties["headers"] = {name: _field(value) for name, value in properties["headers"].items()}
    if properties["timestamp"] is not None:
        properties["timestamp"] = _java_time(properties["timestamp"])
    properties["bodySize"] = len(message.body)
    return {
        "basicProperties": properties,
        "redelivered": message.redelivered,
        "data": base64.b64encode(message.body).decode(),
    }


def _field(value: Any) -> Any:
    """A header value as Java's client holds it: long strings are bytes, numbers are plain."""
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
            return [_field(item) for item in value]
        case dict():
            return {name: _field(item) for name, item in value.items()}
    return value


def _java_time(seconds: int) -> str | None:
    """`Jan 1, 1970, 12:33:41 AM`: how Java prints a date in the United States. No date is null: anybody may publish."""
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
    half = "AM" if time.hour < 12 else "PM"
    return f"{_MONTHS[time.month - 1]} {time.day}, {time.year}, {time.hour % 12 or 12}:{time:%M:%S} {half}"
