"""The invoker's end of a sandbox: frames on a socket, and the text the sandbox prints on a pipe."""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel

from local.sandbox.frames import (
    BEGUN,
    ERROR,
    EVENT,
    FAILED,
    LISTENING,
    PREFIX_SIZE,
    READY,
    RESULT,
    SPANS,
    Frame,
    lengths,
    pack,
)

_HEADER_LIMIT = 1024 * 1024
_MOST_WAITING = 2  # BEGUN and RESULT
_CHUNK = 64 * 1024


class _Header(BaseModel):
    """What there is to say in a frame of one kind."""


class _Begun(_Header):
    began: float
    cpu_ms: float


class _Learnt(_Header):
    max_memory_kb: int
    files: list[str]


class _Ready(_Learnt):
    imports: dict[str, float]


class _Ended(_Learnt):
    cpu_ms: float
    calls: dict[str, tuple[int, float]]


_HEADERS: Mapping[bytes, type[_Header]] = {
    LISTENING: _Header,
    READY: _Ready,
    FAILED: _Learnt,
    BEGUN: _Begun,
    RESULT: _Ended,
    ERROR: _Ended,
    SPANS: _Header,
}


class ChannelClosed(Exception):
    """The sandbox has closed its end, or has sent something that is no frame."""


class Channel(asyncio.Protocol):
    """Frames in order. One reader at a time. A handler that writes frames of its own ends its sandbox."""

    def __init__(self, body_limit: int) -> None:
        self._body_limit = body_limit
        self._buffer = bytearray()
        self._frames: deque[Frame] = deque()
        self._spans_due = 0
        self._waiting: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self.on_spans: Callable[[bytes], None] = lambda spans: None

    @classmethod
    async def open(cls, connection: socket.socket, body_limit: int) -> "Channel":
        connection.setblocking(False)
        _, channel = await asyncio.get_running_loop().create_unix_connection(lambda: cls(body_limit), sock=connection)
        return channel

    def send(self, kind: bytes, header: Mapping[str, Any], body: bytes = b"") -> None:
        if self._transport is None:
            raise ChannelClosed
        if kind == EVENT:
            self._spans_due = min(self._spans_due + 1, 2)  # those of the event before may still be on their way
        self._transport.write(pack(kind, header, body))

    @property
    def unread(self) -> bool:
        """Whether frames have come that nobody has asked for."""
        return bool(self._frames)

    async def receive(self) -> Frame:
        """The next frame; raises ChannelClosed after the last one."""
        while not self._frames:
            if self._transport is None:
                raise ChannelClosed
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._frames.popleft()

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (frame := self._next()) is not None:
                self._take(frame)
        except ValueError:  # a handler has written into the socket
            self.close()
        if self._frames:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.closed.set_result(None)
        self._wake()

    def _take(self, frame: Frame) -> None:
        if frame.kind == SPANS:
            self._spans_due -= 1
            if self._spans_due < 0:
                raise ValueError("spans of no event")
            self.on_spans(frame.body)
        elif len(self._frames) < _MOST_WAITING:
            self._frames.append(frame)
        else:
            raise ValueError("more frames than were asked for")

    def _next(self) -> Frame | None:
        if len(self._buffer) < PREFIX_SIZE:
            return None
        kind, head, body = lengths(bytes(self._buffer[:PREFIX_SIZE]))
        if kind not in _HEADERS or head > _HEADER_LIMIT or body > self._body_limit:
            raise ValueError("no frame")
        start, end = PREFIX_SIZE + head, PREFIX_SIZE + head + body
        if len(self._buffer) < end:
            return None
        header = _HEADERS[kind].model_validate_json(bytes(self._buffer[PREFIX_SIZE:start]))
        frame = Frame(kind, header.model_dump(), bytes(self._buffer[start:end]))
        del self._buffer[:end]
        return frame

    def _wake(self) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)


class Output:
    """What a sandbox prints, handed on as whole lines."""

    def __init__(self, descriptor: int, on_text: Callable[[str], None]) -> None:
        self._descriptor: int | None = descriptor
        self._on_text = on_text
        self._partial = b""
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def drain(self) -> None:
        """Hand on all that has been printed by now, at most what a pipe holds: somebody may print for ever."""
        self._read()
        self._read()
        if self._partial:
            self._emit(self._partial)
            self._partial = b""

    def close(self) -> None:
        self.drain()
        self._stop()

    def _read(self) -> None:
        if self._descriptor is None:
            return
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._descriptor, _CHUNK)
            if not data:
                return self._stop()
            whole, newline, rest = data.rpartition(b"\n")
            if newline or len(self._partial) > _CHUNK:
                self._emit(self._partial + whole)
                self._partial = rest
            else:
                self._partial += rest

    def _emit(self, data: bytes) -> None:
        self._on_text(data.decode("utf-8", "replace"))

    def _stop(self) -> None:
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
