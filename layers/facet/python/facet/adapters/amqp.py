"""Deliveries of a RabbitMQ channel as messages: the same that an event of Amazon MQ would have held."""

import math
import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pika import BlockingConnection, ConnectionParameters  # type: ignore[import-untyped]  # pika ships no py.typed
from pika.adapters.select_connection import SelectConnection  # type: ignore[import-untyped]  # as above
from pika.exceptions import (  # type: ignore[import-untyped]  # as above
    ChannelClosedByBroker,
    InvalidFieldTypeException,
)
from pika.frame import Header  # type: ignore[import-untyped]  # as above
from pika.spec import FRAME_HEADER, BasicProperties  # type: ignore[import-untyped]  # as above

from facet.messages import HeaderValue, Message
from facet.settings import settings

_DEEPEST = 64  # levels of tables and lists in a header; no event has more
_LONGEST_PAUSE = 30.0  # seconds
_DENIED, _NOT_FOUND = 403, 404
_NO_VHOST = re.compile(r"NOT_ALLOWED.*(not found|refused)")
_UNREADABLE = (InvalidFieldTypeException, struct.error, ArithmeticError, ValueError, OSError, RecursionError)


class Unmappable(Exception):
    """No event can hold the message, so no function gets it; it belongs to the queue's dead letters."""


def message_from(queue: str, vhost: str, method: Any, properties: Any, body: bytes) -> Message:
    """The message in what pika gives a consumer. Raises Unmappable."""
    if isinstance(properties.headers, Exception):
        raise Unmappable(f"its headers cannot be read: {properties.headers!r}")
    return Message(
        body=body,
        queue=queue,
        vhost=vhost,
        message_id=_text(properties.message_id),
        correlation_id=_text(properties.correlation_id),
        type=_text(properties.type),
        content_type=_text(properties.content_type),
        headers=_table(properties.headers or {}, 0),
        redelivered=bool(method.redelivered),
        timestamp=None if properties.timestamp is None else _moment(properties.timestamp),
    )


def pause_after(failures: int) -> float:
    """Seconds until what has failed so often is tried again: 1, 2, 4, 8, 16, 30, 30, …"""
    return min(2.0 ** min(failures - 1, 5), _LONGEST_PAUSE)


def remedy_for(error: Exception, queue: str) -> str | None:
    """What to do about an error of pika that no repetition changes; None for a broker that is away or just starting."""
    at, said = settings(), str(error)
    user, vhost = at.rabbitmq_user, at.rabbitmq_vhost
    rights = f"rabbitmqctl set_permissions -p {vhost} {user} '.*' '.*' '.*'"
    if isinstance(error, ChannelClosedByBroker):
        if error.reply_code == _DENIED:
            return f'The user "{user}" may not read the queue "{queue}"; let it: {rights}'
        if error.reply_code == _NOT_FOUND and "no queue" in said:
            make = "make it with `python -m facet.invoke migrate`"
            return f'There is no queue "{queue}": {make}, or correct RABBITMQ_TASKS_RESULTS_QUEUE.'
    elif "ACCESS_REFUSED" in said:
        place = f"RabbitMQ at {at.rabbitmq_host}"
        return f'{place} refuses the user "{user}": correct RABBITMQ_USER and RABBITMQ_PASSWORD.'
    elif _NO_VHOST.search(said):
        return f'RabbitMQ has no virtual host "{vhost}" for "{user}": correct RABBITMQ_VHOST, or let it in: {rights}'
    return None


def connect(parameters: ConnectionParameters) -> BlockingConnection:
    """A connection that lives through messages whose headers pika cannot decode; see Unmappable."""
    return BlockingConnection(parameters, _impl_class=_Lenient)


class _Lenient(SelectConnection):  # type: ignore[misc]  # pika is untyped
    """In place of headers that cannot be decoded stands the reason; pika would end the connection over them."""

    def _read_frame(self) -> tuple[int, Any]:
        try:
            found: tuple[int, Any] = super()._read_frame()
        except _UNREADABLE as error:
            kind, channel, size, _, _, body_size = struct.unpack_from(">BHLHHQ", self._frame_buffer)
            if kind != FRAME_HEADER:
                raise
            return size + 8, Header(channel, body_size, BasicProperties(headers=error))
        return found


def _text(value: Any) -> Any:
    """pika leaves a short string that is no UTF-8 as bytes; Java's client reads it like this."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _table(table: Mapping[Any, Any], depth: int) -> dict[str, HeaderValue]:
    return {_text(name): _header(value, depth + 1) for name, value in table.items()}


def _header(value: Any, depth: int) -> HeaderValue:
    """A header's value as it arrives by an event: dates as Java prints them, decimals as floats, no NaN."""
    if depth > _DEEPEST:
        raise Unmappable(f"its headers nest deeper than {_DEEPEST} levels")
    match value:
        case bytes():
            return value.decode(errors="replace")
        case datetime():
            return _java_time(value.replace(tzinfo=value.tzinfo or UTC))
        case Decimal():
            return float(value)
        case float() if not math.isfinite(value):
            return None
        case list() | tuple():
            return [_header(part, depth + 1) for part in value]
        case dict():
            return _table(value, depth)
        case None | bool() | int() | float() | str():
            return value
    raise Unmappable(f"its headers hold a {type(value).__name__}")


def _moment(seconds: int) -> datetime | None:
    """When a message says it was sent. Anybody may publish: a date that is none is left out."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _java_time(time: datetime) -> str:
    return f"{time:%b} {time.day}, {time.year}, {time.hour % 12 or 12}:{time:%M:%S} {'AM' if time.hour < 12 else 'PM'}"
