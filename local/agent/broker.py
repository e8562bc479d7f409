"""A session with the broker: one connection, one channel, both queues present, every message confirmed."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pika  # type: ignore[import-untyped]  # pika ships no types
from pika.adapters.utils.connection_workflow import AMQPConnectorException  # type: ignore[import-untyped]  # as above
from pika.exceptions import AMQPError, ChannelClosedByBroker  # type: ignore[import-untyped]  # as above

from local.agent import spans
from local.agent.settings import Settings

APP_ID = "facet-agent"
CARRIED_HEADERS = ("traceparent",)
CONNECT_SECONDS = 3
BLOCKED_SECONDS = 60  # how long the broker may refuse to take messages, for lack of memory or disk
NOT_FOUND = 404
FAILURES = (AMQPError, AMQPConnectorException, OSError)  # a silent port is no AMQPError to pika


class BrokerAway(Exception):
    """There is no session, or it has ended; `str()` says why. The broker redelivers what was not settled."""


@dataclass(frozen=True)
class Delivery:
    """A message of the tasks queue, to be settled in the session it came from."""

    tag: int
    queue: str
    body: bytes
    correlation_id: str | None
    headers: Mapping[str, object]
    redelivered: bool


class Session:
    """Its methods belong to the thread that opened it, but for `call`."""

    def __init__(self, settings: Settings) -> None:
        """Raises BrokerAway, also while one of the queues does not exist."""
        self._settings = settings
        self._consumer = ""
        self._cancelled = False
        with _translated():
            self._connection = pika.BlockingConnection(_parameters(settings))
        try:
            self._channel = self._open_channel()
        except BrokerAway:
            self.close()
            raise

    def _open_channel(self) -> pika.adapters.blocking_connection.BlockingChannel:
        with _translated():
            channel = self._connection.channel()
            channel.confirm_delivery()
            channel.basic_qos(prefetch_count=1)
            for queue in (self._settings.tasks_queue, self._settings.results_queue):
                _expect(channel, queue)
            return channel

    def consume(self, receive: Callable[[Delivery], None]) -> None:
        """`receive` is called from `wait`, with one delivery at a time."""

        def received(
            channel: object, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
        ) -> None:
            headers = {name: value for name, value in (properties.headers or {}).items() if name in CARRIED_HEADERS}
            queue, task = self._settings.tasks_queue, properties.correlation_id
            receive(Delivery(method.delivery_tag, queue, body, task, headers, method.redelivered))

        with _translated():
            self._channel.add_on_cancel_callback(self._on_cancel)
            self._consumer = self._channel.basic_consume(self._settings.tasks_queue, received)

    def _on_cancel(self, frame: object) -> None:
        self._cancelled = True

    def stop_consuming(self) -> None:
        """No further delivery comes; the one in hand can still be settled."""
        with _translated():
            self._channel.basic_cancel(self._consumer)

    def wait(self, seconds: float) -> None:
        """Serve the connection and call what is due, at most this long. Raises BrokerAway."""
        with _translated():
            self._connection.process_data_events(time_limit=seconds)
        if self._cancelled or not self._channel.is_open:
            raise BrokerAway(f"the broker ended the consumer of {self._settings.tasks_queue}")

    def publish(self, report: Mapping[str, object], delivery: Delivery) -> None:
        """To the results queue; the broker has it when this returns."""
        queue, task = self._settings.results_queue, str(report["request_uuid"])
        with spans.message("send", queue, delivery.headers, task) as (_, headers), _translated():
            self._channel.basic_publish(
                "",
                queue,
                json.dumps(report).encode(),
                _properties(delivery.correlation_id or task, headers),
                mandatory=True,
            )

    def acknowledge(self, delivery: Delivery) -> None:
        with _translated():
            self._channel.basic_ack(delivery.tag)

    def give_back(self, delivery: Delivery) -> None:
        """To the queue. With nack, which newer brokers do not count as a failed delivery."""
        with _translated():
            self._channel.basic_nack(delivery.tag, requeue=True)

    def refuse(self, delivery: Delivery) -> None:
        """To the dead letters."""
        with _translated():
            self._channel.basic_reject(delivery.tag, requeue=False)

    def call(self, callback: Callable[[], None]) -> None:
        """From any thread: `wait` will call it. Raises BrokerAway."""
        with _translated():
            self._connection.add_callback_threadsafe(callback)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """`wait` will call it then."""
        with _translated():
            self._connection.call_later(seconds, callback)

    def close(self) -> None:
        """What is not settled goes back to the queue."""
        with suppress(*FAILURES):
            self._connection.close()


def _properties(correlation_id: str, headers: dict[str, object]) -> pika.BasicProperties:
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=pika.DeliveryMode.Persistent.value,
        correlation_id=correlation_id,
        message_id=str(uuid.uuid4()),
        timestamp=int(time.time()),
        app_id=APP_ID,
        headers=headers,
    )


def _parameters(settings: Settings) -> pika.ConnectionParameters:
    return pika.ConnectionParameters(
        host=settings.host,
        port=settings.port,
        virtual_host=settings.vhost,
        credentials=pika.PlainCredentials(settings.user, settings.password),
        heartbeat=settings.heartbeat,
        blocked_connection_timeout=BLOCKED_SECONDS,
        socket_timeout=CONNECT_SECONDS,
        stack_timeout=CONNECT_SECONDS,
        client_properties={"connection_name": APP_ID},
    )


def _expect(channel: pika.adapters.blocking_connection.BlockingChannel, queue: str) -> None:
    """The backend declares the queues; an agent that declared them first could give them other properties."""
    try:
        channel.queue_declare(queue, passive=True)
    except ChannelClosedByBroker as exc:
        if exc.reply_code == NOT_FOUND:
            raise BrokerAway(f"there is no queue {queue} yet") from exc
        raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FAILURES as exc:
        raise BrokerAway(_reason(exc)) from exc


def _reason(exc: BaseException) -> str:
    """Pika's connection errors have no text of their own, only a cause among their arguments."""
    return str(exc) or ", ".join(repr(argument) for argument in exc.args) or type(exc).__name__
