"""What we say to RabbitMQ: confirmed messages and dead letters."""

import struct
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pika  # type: ignore[import-untyped]  # pika is annotated but ships no py.typed
from pika.data import encode_table  # type: ignore[import-untyped]  # as above
from pika.exceptions import (  # type: ignore[import-untyped]  # as above
    AMQPError,
    ChannelClosedByBroker,
    NackError,
    UnroutableError,
)

from facet import tracing
from facet.amqp import Unavailable as Unavailable
from facet.amqp import close as close
from facet.amqp import with_channel

_NOT_FOUND = 404
_ROUTING_HEADERS = frozenset({"CC", "BCC"})  # RabbitMQ sends a copy to every queue named there
_MAX_HEADERS = 64 * 1024  # bytes; with ours they must fit one frame of 128 KiB
_MAX_ERROR = 1000  # characters


class Unroutable(Unavailable):
    """There is no such queue, so the message went nowhere."""

    def __init__(self, queue: str) -> None:
        super().__init__(f'There is no queue "{queue}": declare it with `facet migrate`.')


def publish(
    *,
    queue: str,
    body: bytes,
    message_id: str,
    correlation_id: str | None = None,
    type: str | None = None,
    content_type: str = "application/json",
    headers: Mapping[str, Any] | None = None,
) -> None:
    """Put a persistent message into a queue and return when the broker has confirmed it.

    Where the connection died on the way, it is published again with the same message_id: it may arrive twice.
    Raises Unavailable, or Unroutable when there is no such queue.
    """
    properties = pika.BasicProperties(
        message_id=message_id,
        correlation_id=correlation_id,
        type=type,
        content_type=content_type,
        headers=dict(headers or {}),
        delivery_mode=pika.DeliveryMode.Persistent,
        timestamp=int(time.time()),
        app_id="facet",
    )
    _deliver(queue, body, properties)


def dead_letter(
    *,
    queue: str,
    body: bytes,
    code: str,
    error: str,
    message_id: str | None = None,
    correlation_id: str | None = None,
    type: str | None = None,
    content_type: str | None = None,
    timestamp: datetime | None = None,
    headers: Mapping[str, Any] | None = None,
    traceparent: str | None = None,
) -> None:
    """Put a message that can never succeed into `<queue>.dead` as it came, with the reason in its headers.

    `traceparent` names the failed invocation; without it the message keeps its own. Raises as `publish` does.
    """
    reason = {"x-error-code": code, "x-error": _encodable(error)[:_MAX_ERROR], "traceparent": traceparent}
    properties = pika.BasicProperties(
        message_id=_short(message_id),
        correlation_id=_short(correlation_id),
        type=_short(type),
        content_type=_short(content_type),
        headers=_harmless(headers or {}) | {name: value for name, value in reason.items() if value is not None},
        delivery_mode=pika.DeliveryMode.Persistent,
        timestamp=max(0, int((timestamp or datetime.now(UTC)).timestamp())),
    )
    _deliver(f"{queue}.dead", body, properties)


def depth(queue: str) -> int:
    """How many messages wait in a queue. Raises Unroutable when there is no such queue."""
    try:
        answer = with_channel(lambda channel: channel.queue_declare(queue, passive=True))
    except ChannelClosedByBroker as error:
        if error.reply_code == _NOT_FOUND:
            raise Unroutable(queue) from error
        raise
    return int(answer.method.message_count)


def _deliver(queue: str, body: bytes, properties: pika.BasicProperties) -> None:
    """Traced, the message goes on in the trace it came with, or else in that of the function."""
    described = tracing.message("send", queue, properties.message_id, properties.correlation_id)
    with tracing.span(f"send {queue}", "producer", described, parent=properties.headers.get("traceparent")):
        if traceparent := tracing.current():
            properties.headers["traceparent"] = traceparent
        try:
            with_channel(lambda channel: channel.basic_publish("", queue, body, properties, mandatory=True))
        except UnroutableError as error:
            raise Unroutable(queue) from error
        except NackError as error:
            raise Unavailable(f'The queue "{queue}" takes no more messages.') from error


# Dead letters come from anybody: what cannot be published again as it was must not keep them in their queue for ever.
def _harmless(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers without those that would send a copy elsewhere; none at all if they cannot be encoded in one frame."""
    kept = {name: value for name, value in headers.items() if name not in _ROUTING_HEADERS}
    try:
        fits = encode_table([], kept) <= _MAX_HEADERS
    except (AMQPError, ValueError, struct.error):
        fits = False
    return kept if fits else {"x-headers-dropped": len(kept)}


def _short(text: str | None) -> str | None:
    """A property cut to the 255 bytes of AMQP's short strings."""
    return None if text is None else text.encode(errors="replace")[:255].decode(errors="ignore")


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()
