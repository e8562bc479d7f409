"""Queue events as messages: batches of Amazon MQ (`aws:rmq`), and CloudEvents, of which each is one message."""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from facet.settings import settings

_KNATIVE = "/rabbitmqsources/"
_CLOUD_EVENT_ATTRIBUTES = frozenset(
    "specversion id source type subject time datacontenttype dataschema data data_base64".split()
)
HeaderValue = str | int | float | bool | None | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One delivery. Any property may be absent; there is no delivery tag, the trigger settles what it delivers."""

    body: bytes = field(repr=False)
    queue: str
    vhost: str
    message_id: str | None = None
    correlation_id: str | None = None
    type: str | None = None
    content_type: str | None = None
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    redelivered: bool = False
    timestamp: datetime | None = None


def is_batch(event: Mapping[str, Any]) -> bool:
    return "rmqMessagesByQueue" in event or "specversion" in event


def messages_from(event: Mapping[str, Any]) -> list[Message]:
    """The messages of an event in order."""
    if "specversion" in event:
        return [_of_cloud_event(event)]
    return [
        _message(record, *_source(source))
        for source, records in event["rmqMessagesByQueue"].items()
        for record in records
    ]


def _source(key: str) -> tuple[str, str]:
    queue, _, vhost = key.rpartition("::")
    return (queue, vhost) if queue else (key, "/")


def _message(record: Mapping[str, Any], queue: str, vhost: str) -> Message:
    properties = record.get("basicProperties") or {}
    return Message(
        body=b64decode(record["data"]),
        queue=queue,
        vhost=vhost,
        message_id=properties.get("messageId"),
        correlation_id=properties.get("correlationId"),
        type=properties.get("type"),
        content_type=properties.get("contentType"),
        headers={name: _header(value) for name, value in (properties.get("headers") or {}).items()},
        redelivered=bool(record.get("redelivered")),
        timestamp=_timestamp(properties.get("timestamp")),
    )


def _of_cloud_event(event: Mapping[str, Any]) -> Message:
    """Extensions stand for headers."""
    return Message(
        body=_data(event),
        queue=_queue(event["source"]),
        vhost=settings().rabbitmq_vhost,
        message_id=event.get("id"),
        type=event.get("type"),
        content_type=event.get("datacontenttype"),
        headers={name: value for name, value in event.items() if name not in _CLOUD_EVENT_ATTRIBUTES},
        timestamp=datetime.fromisoformat(event["time"]) if "time" in event else None,
    )


def _data(event: Mapping[str, Any]) -> bytes:
    if "data_base64" in event:
        return b64decode(event["data_base64"])
    if "data" not in event:
        return b""
    data, content_type = event["data"], event.get("datacontenttype") or "application/json"
    text = data if isinstance(data, str) and "json" not in content_type else json.dumps(data)
    return text.encode("utf-8", "surrogatepass")


def _queue(source: str) -> str:
    """Knative's RabbitmqSource names its queue behind `#`; who published a CloudEvent himself names none."""
    place, _, queue = source.rpartition("#")
    return unquote(queue) if _KNATIVE in place and queue else settings().rabbitmq_tasks_results_queue


def _header(value: Any) -> HeaderValue:
    """A header's value: strings come as {"bytes": […]}, Java's bytes being signed; tables and lists nest."""
    match value:
        case {"bytes": [*numbers], **rest} if not rest and all(isinstance(number, int) for number in numbers):
            return bytes(number & 0xFF for number in numbers).decode("utf-8", "replace")
        case dict():
            return {name: _header(part) for name, part in value.items()}
        case list():
            return [_header(part) for part in value]
    return value  # type: ignore[no-any-return]  # JSON's scalars, which HeaderValue lists


def _timestamp(text: str | None) -> datetime | None:
    """Java's "Jan 1, 1970, 12:33:41 AM" (UTC); newer ones put a narrow space before AM."""
    if text is None:
        return None
    try:
        return datetime.strptime(text.replace("\u202f", " "), "%b %d, %Y, %I:%M:%S %p").replace(tzinfo=UTC)
    except ValueError:
        return None
