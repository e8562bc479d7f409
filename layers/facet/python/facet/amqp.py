"""One warm RabbitMQ connection per process with one confirmed channel; no wait without an end."""

import atexit
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import pika  # type: ignore[import-untyped]  # pika is annotated but ships no py.typed
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]  # as above
from pika.adapters.utils.connection_workflow import AMQPConnectorException  # type: ignore[import-untyped]  # as above
from pika.exceptions import (  # type: ignore[import-untyped]  # as above
    AMQPConnectionError,
    AMQPHeartbeatTimeout,
    ChannelWrongStateError,
    ConnectionClosed,
    ConnectionWrongStateError,
    StreamLostError,
)

from facet import tracing
from facet.problems import Problem
from facet.settings import settings

TIMEOUT = 3  # seconds, for connecting and for every answer
HEARTBEAT = 300  # seconds; long, since a frozen process sends none, yet it lets the broker drop those that never wake
MAX_IDLE = 300  # seconds; a NAT gateway forgets an idle flow after 350 and tells nobody
DOWN_FOR = 1  # second in which nobody waits again for a broker that has just failed
AMQPS_PORT = 5671

T = TypeVar("T")

_LOST = (StreamLostError, ConnectionClosed, ConnectionWrongStateError, ChannelWrongStateError, AMQPHeartbeatTimeout)


class Unavailable(Problem):
    """The message broker cannot be reached or does not answer. Repeat later; what was sent may have arrived."""

    status, code, title = 503, "BROKER_UNAVAILABLE", "The message broker is unavailable"
    headers: Mapping[str, str] = {"Retry-After": "5"}


class _Silence(AMQPConnectionError):  # type: ignore[misc]  # pika is untyped
    """The broker accepted the connection but does not answer."""


class _Connection(pika.BlockingConnection):  # type: ignore[misc]  # pika is untyped
    """Ends every wait: pika's own waits for a confirm as long as the broker keeps silent."""

    def _flush_output(self, *waiters: Callable[[], bool]) -> None:
        timer = self._impl._adapter_call_later(TIMEOUT, self._break_off)
        try:
            super()._flush_output(*waiters)
        finally:
            self._impl._adapter_remove_timeout(timer)

    def abandon(self) -> None:
        """Drop the connection without the farewell that a vanished broker would not answer."""
        if self.is_open:
            self._break_off()
            with suppress(AMQPConnectionError):
                super()._flush_output(lambda: False)

    def _break_off(self) -> None:
        self._impl._terminate_stream(_Silence(f"no answer within {TIMEOUT} seconds"))


_connection: _Connection | None = None
_channel: BlockingChannel | None = None
_last_used = 0.0
_down_until = 0.0
_turn = threading.RLock()  # a process serves one event at a time; where it does not, its threads take turns


def with_channel(action: Callable[[BlockingChannel], T]) -> T:
    """Do something on the warm channel, and again on a fresh one if the connection turns out to have died while idle.

    Raises Unavailable. What the broker objects to (ChannelClosedByBroker) stays what it is.
    """
    global _down_until, _last_used
    with _turn:
        if time.monotonic() < _down_until:
            raise Unavailable("The message broker did not answer a moment ago.")
        try:
            if _is_usable():
                with suppress(*_LOST):
                    return action(_open_channel())
            with tracing.span("connect", "internal", {"messaging.system": "rabbitmq"}):
                _connect()
            return action(_open_channel())
        except (AMQPConnectionError, ChannelWrongStateError, AMQPConnectorException, OSError) as error:
            _down_until = time.monotonic() + DOWN_FOR
            raise Unavailable("The message broker cannot be reached or does not answer.") from error
        finally:
            _last_used = time.time()


def close() -> None:
    """Close the warm connection, if there is one, and forget failures; the next use connects again."""
    global _connection, _channel, _down_until
    if _connection is not None and _connection.is_open:
        with suppress(AMQPConnectionError):
            _connection.close()
    _connection = _channel = None
    _down_until = 0.0


atexit.register(close)


def _is_usable() -> bool:
    """Whether the warm connection seems alive, after reading what the broker said while nobody listened."""
    if _connection is None or not _connection.is_open or time.time() - _last_used > MAX_IDLE:
        return False
    with suppress(AMQPConnectionError):
        _connection.process_data_events(0)
    return bool(_connection.is_open)


def _open_channel() -> BlockingChannel:
    """The confirmed channel; the broker closes it when it objects to something."""
    global _channel
    if _connection is None:
        raise ConnectionWrongStateError("not connected")
    if _channel is None or not _channel.is_open:
        _channel = _connection.channel()
        _channel.confirm_delivery()
    return _channel


def _connect() -> None:
    global _connection, _channel
    if _connection is not None:
        _connection.abandon()
    _connection = _channel = None
    _connection = _Connection(parameters(heartbeat=HEARTBEAT, blocked_connection_timeout=TIMEOUT))


def parameters(**more: Any) -> pika.ConnectionParameters:
    """Where the broker is, how long to wait for it and who asks; `more` is what pika takes besides."""
    at = settings()
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs every failure several times and then raises it
    tls = at.rabbitmq_port == AMQPS_PORT
    return pika.ConnectionParameters(
        host=at.rabbitmq_host,
        port=at.rabbitmq_port,
        virtual_host=at.rabbitmq_vhost,
        credentials=pika.PlainCredentials(at.rabbitmq_user, at.rabbitmq_password.get_secret_value()),
        ssl_options=pika.SSLOptions(ssl.create_default_context(), at.rabbitmq_host) if tls else None,
        socket_timeout=TIMEOUT,
        stack_timeout=TIMEOUT,
        connection_attempts=1,
        client_properties={"connection_name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "facet")},
        **more,
    )
