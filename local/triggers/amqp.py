"""A consumer of one RabbitMQ queue on the event loop: pika's callbacks as awaitables."""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pika import ConnectionParameters  # type: ignore[import-untyped] # pika ships no py.typed
from pika.adapters.asyncio_connection import AsyncioConnection  # type: ignore[import-untyped] # as above
from pika.exceptions import (  # type: ignore[import-untyped] # as above
    AMQPError,
    InvalidFieldTypeException,
)
from pika.frame import Header  # type: ignore[import-untyped] # as above
from pika.spec import FRAME_HEADER, BasicProperties  # type: ignore[import-untyped] # as above

from local.events import RmqMessage

_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 2.0
_UNREADABLE = (InvalidFieldTypeException, struct.error, ArithmeticError, ValueError, OSError, RecursionError)


Pause = Callable[..., Awaitable[None]]
"""Waits for some seconds, or until one of the futures is done or the trigger is stopped."""


class ConsumerLost(Exception):
    """The broker cannot be reached, has no such queue, or has ended the connection; the text says which."""


@dataclass(frozen=True)
class Delivery:
    tag: int
    message: RmqMessage


class Consumer:
    """Deliveries stay unacknowledged until they are acked; the broker gives them to the next consumer otherwise."""

    def __init__(self) -> None:
        self._deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._connection: Any = None
        self._channel: Any = None

    @classmethod
    async def open(cls, parameters: ConnectionParameters, queue: str, *, prefetch: int) -> "Consumer":
        """Start consuming. Raises ConsumerLost."""
        consumer = cls()
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await consumer._open(parameters, queue, prefetch)
        except BaseException as exc:
            await consumer.close()
            if isinstance(exc, TimeoutError):
                raise ConsumerLost("the broker does not answer") from exc
            raise
        return consumer

    async def next(self, seconds: float | None = None, *until: "asyncio.Future[Any]") -> Delivery | None:
        """The next delivery; None when none came in time, or before one of the futures. Raises ConsumerLost."""
        if not self._deliveries.empty():
            return self._deliveries.get_nowait()
        if seconds == 0:
            return None
        getting = asyncio.ensure_future(self._deliveries.get())
        try:
            either: set[asyncio.Future[Any]] = {getting, self.lost, *until}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self.lost.done():
                raise ConsumerLost(self.lost.result())
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge one delivery, or everything up to it. Raises ConsumerLost."""
        self._settle(self._channel.basic_ack, tag, multiple=multiple)

    def reject(self, tag: int) -> None:
        """Give one delivery to the queue's dead-letter exchange. Raises ConsumerLost."""
        self._settle(self._channel.basic_reject, tag, requeue=False)

    async def close(self) -> None:
        """Close the connection; what is not acked goes back to the queue."""
        self._lose("closed")
        if self._connection is None or self._connection.is_closed:
            return
        closed = asyncio.get_running_loop().create_future()
        self._connection.add_on_close_callback(lambda *_: None if closed.done() else closed.set_result(None))
        with contextlib.suppress(AMQPError, TimeoutError):
            if not self._connection.is_closing:
                self._connection.close()
            async with asyncio.timeout(_CLOSE_SECONDS):
                await closed

    async def _open(self, parameters: ConnectionParameters, queue: str, prefetch: int) -> None:
        await self._called(lambda opened: self._connect(parameters, opened))
        await self._called(lambda opened: self._open_channel(queue, opened))
        await self._called(lambda found: self._channel.queue_declare(queue, passive=True, callback=found))
        await self._called(lambda set_: self._channel.basic_qos(prefetch_count=prefetch, callback=set_))
        await self._called(lambda begun: self._channel.basic_consume(queue, self._on_message, callback=begun))

    def _connect(self, parameters: ConnectionParameters, opened: Callable[..., None]) -> None:
        self._connection = _Connection(
            parameters,
            on_open_callback=opened,
            on_open_error_callback=lambda _, exc: self._lose(f"the broker cannot be reached: {exc!r}"),
            on_close_callback=lambda _, exc: self._lose(f"the connection ended: {exc!r}"),
            custom_ioloop=asyncio.get_running_loop(),
        )

    def _open_channel(self, queue: str, opened: Callable[..., None]) -> None:
        self._channel = self._connection.channel(on_open_callback=opened)
        self._channel.add_on_close_callback(lambda _, exc: self._lose(f"the broker refused: {exc!r}"))
        self._channel.add_on_cancel_callback(lambda _: self._lose(f"queue {queue} was deleted"))

    def _on_message(self, _: Any, method: Any, properties: Any, body: bytes) -> None:
        named = {_camel_case(name): value for name, value in vars(properties).items()}
        self._deliveries.put_nowait(Delivery(method.delivery_tag, RmqMessage(body, named, method.redelivered)))

    async def _called(self, call: Callable[[Callable[..., None]], object]) -> None:
        """Do something that ends in a callback, and wait for it. Raises ConsumerLost."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            call(lambda *_: None if done.done() else done.set_result(None))
        except AMQPError as exc:
            self._lose(repr(exc))
        either: set[asyncio.Future[Any]] = {done, self.lost}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise ConsumerLost(self.lost.result())

    def _settle(self, settle: Callable[..., None], tag: int, **how: bool) -> None:
        try:
            settle(tag, **how)
        except AMQPError as exc:
            self._lose(repr(exc))
            raise ConsumerLost(self.lost.result()) from exc

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)


class Lenient:
    """pika ends the connection over properties that it cannot decode; here such a message arrives all the same."""

    _frame_buffer: bytes

    def _read_frame(self) -> tuple[int, Any]:
        try:
            found: tuple[int, Any] = super()._read_frame()  # type: ignore[misc] # that of the connection it is mixed into
        except _UNREADABLE as exc:
            kind, channel, size, _, _, body_size = struct.unpack_from(">BHLHHQ", self._frame_buffer)
            if kind != FRAME_HEADER:
                raise
            return size + 8, Header(channel, body_size, BasicProperties(headers=exc))
        return found


class _Connection(Lenient, AsyncioConnection):  # type: ignore[misc] # pika is untyped
    pass


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
