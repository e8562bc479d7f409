"""A function that is given a RabbitMQ queue's messages, one at a time, by this process; see facet.consume."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pika.adapters.utils.connection_workflow import (  # type: ignore[import-untyped]  # pika ships no py.typed
    AMQPConnectorException,
)
from pika.exceptions import (  # type: ignore[import-untyped]  # as above
    AMQPError,
    ConnectionWrongStateError,
    ConsumerCancelled,
)

from facet import amqp, log
from facet.adapters.amqp import Unmappable, connect, message_from, pause_after, remedy_for
from facet.context import Context
from facet.function import Function
from facet.messages import Message
from facet.options import number, timeout
from facet.problems import Problem
from facet.settings import settings

HEARTBEAT = 30  # seconds; a broker that has vanished is noticed after two of them
HELD_AT_MOST = 4 * 3600 * 1000  # milliseconds until RabbitMQ takes a message back
_TICK = 0.5  # seconds until `stop` is noticed
_FAREWELL = 1.0  # second of the grace that is left for giving messages back
_LOST = (AMQPError, AMQPConnectorException, OSError)


class Refused(Exception):
    """To try again would not help; the text says what to do."""


@dataclass(frozen=True)
class Options:
    """`grace` and `timeout` in seconds; the file `ready` exists while messages are consumed."""

    prefetch: int = 10
    grace: float = 25.0
    timeout: float = 30.0
    ready: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Options":
        """By FACET_PREFETCH, FACET_GRACE, FACET_TIMEOUT and FACET_READY_FILE. Raises WrongOption."""
        ready = environ.get("FACET_READY_FILE")
        return cls(
            prefetch=number(environ, "FACET_PREFETCH", cls.prefetch, int, 1, 1000),
            grace=number(environ, "FACET_GRACE", cls.grace, float, 1, 86_400),
            timeout=timeout(environ, cls.timeout),
            ready=Path(ready) if ready else None,
        )


class Consumer:
    """Serves one connection after the other, until it is stopped."""

    def __init__(self, function: Function, options: Options) -> None:
        self._function, self._options = function, options
        self._queue, self._vhost = settings().rabbitmq_tasks_results_queue, settings().rabbitmq_vhost
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._failures = 0

    def stop(self) -> None:
        """Let `run` return when the message at work is settled, or when the grace is over."""
        self._deadline = time.monotonic() + self._options.grace - _FAREWELL
        self._stopping.set()

    def run(self) -> None:
        """Consume until stopped, whatever becomes of the broker. Raises Refused."""
        with log.context(function=self._function.app_name):
            _remove(self._options.ready)  # one that was killed has left it
            while not self._stopping.is_set():
                try:
                    self._consume()
                except _LOST as error:
                    if remedy := remedy_for(error, self._queue):
                        raise Refused(remedy) from error
                    self._failures += 1
                    seconds = pause_after(self._failures)
                    log.get().warning("RabbitMQ is away", extra={"cause": repr(error), "again_in": seconds})
                    self._stopping.wait(seconds)

    def _consume(self) -> None:
        connection = connect(amqp.parameters(heartbeat=HEARTBEAT))
        work = _Work(self._function, self._options.timeout)
        try:
            channel = connection.channel()
            work.on_done(partial(connection.add_callback_threadsafe, partial(_acknowledge, channel, work)))
            tag = self._begin(channel, work)
            with _existing(self._options.ready):
                while not self._stopping.is_set():
                    connection.process_data_events(_TICK)
                    if not channel.is_open or not channel.consumer_tags:
                        raise ConsumerCancelled("the queue is gone, or a message was held for too long")
            self._end(connection, channel, tag, work)
        finally:
            work.end()
            with suppress(*_LOST):
                connection.close()
            while work.is_alive() and time.monotonic() < self._deadline:
                work.join(_TICK)

    def _begin(self, channel: Any, work: "_Work") -> str:
        channel.queue_declare(self._queue, passive=True)
        channel.basic_qos(prefetch_count=self._options.prefetch)
        work.start()
        take, arguments = partial(self._take, work), {"x-consumer-timeout": HELD_AT_MOST}
        tag: str = channel.basic_consume(self._queue, take, arguments=arguments)
        self._failures = 0
        log.get().info("consuming", extra={"queue": self._queue})
        return tag

    def _take(self, work: "_Work", channel: Any, method: Any, properties: Any, body: bytes) -> None:
        try:
            work.add(method.delivery_tag, message_from(self._queue, self._vhost, method, properties, body))
        except Unmappable as error:
            log.get().warning("message rejected", extra={"reason": str(error)})
            channel.basic_reject(method.delivery_tag, requeue=False)

    def _end(self, connection: Any, channel: Any, tag: str, work: "_Work") -> None:
        """Settle the message at work and give back all others."""
        log.get().info("stopping", extra={"queue": self._queue})
        channel.basic_cancel(tag)
        work.end()
        while work.is_alive() and time.monotonic() < self._deadline:
            connection.process_data_events(_TICK / 10)
        _acknowledge(channel, work)
        channel.basic_nack(0, multiple=True, requeue=True)
        log.get().info("stopped", extra={"queue": self._queue, "unfinished": work.is_alive()})


class _Work(threading.Thread):
    """Calls the function, so that the thread of the connection is free for heartbeats."""

    def __init__(self, function: Function, timeout: float) -> None:
        super().__init__(name="work", daemon=True)
        self.done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._waiting: queue.SimpleQueue[tuple[int, Message]] = queue.SimpleQueue()
        self._function, self._timeout = function, timeout
        self._ending = threading.Event()
        self._tell: Callable[[], None] = lambda: None

    def on_done(self, tell: Callable[[], None]) -> None:
        """Call this, from the thread of the work, whenever `done` has another delivery tag."""
        self._tell = tell

    def add(self, tag: int, message: Message) -> None:
        self._waiting.put((tag, message))

    def end(self) -> None:
        """Begin no further message, and wait no longer to try one again."""
        self._ending.set()
        self._waiting.put((0, Message(b"", "", "")))

    def run(self) -> None:
        with log.context(function=self._function.app_name):
            while True:
                tag, message = self._waiting.get()
                if self._ending.is_set():
                    return
                if self._succeeds(message):
                    self.done.put(tag)
                    with suppress(ConnectionWrongStateError):  # RabbitMQ has given the message to another already
                        self._tell()

    def _succeeds(self, message: Message) -> bool:
        """Try until the function returns; False when the end comes first."""
        failures = 0
        while not self._attempt(message):
            failures += 1
            if self._ending.wait(pause_after(failures)):
                return False
            message = replace(message, redelivered=True)
        return True

    def _attempt(self, message: Message) -> bool:
        context = Context(self._function.app_name, timeout=self._timeout)
        try:
            self._function.process([message], context)
        except (Exception, SystemExit) as error:  # the border: whatever was raised, the message is kept
            _report(error, context.aws_request_id)
            return False
        return True


def _report(error: BaseException, request_id: str) -> None:
    told = f"{error.code}: {error.detail}" if isinstance(error, Problem) else repr(error)
    log.get().warning(
        "the message is kept and tried again: %s",
        told,
        exc_info=None if isinstance(error, Problem) else error,
        extra={"request_id": request_id, **log.cause(error)},
    )


def _acknowledge(channel: Any, work: _Work) -> None:
    while not work.done.empty():
        channel.basic_ack(work.done.get())


@contextmanager
def _existing(file: Path | None) -> Iterator[None]:
    if file is not None:
        try:
            file.touch()
        except OSError as error:
            raise Refused(f"FACET_READY_FILE, {file}, cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        _remove(file)


def _remove(file: Path | None) -> None:
    if file is not None:
        with suppress(OSError):
            file.unlink()
