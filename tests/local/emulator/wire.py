"""HTTP as bytes: a server on real sockets, and a client that sends what it is told and nothing else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from local.cloud import listen


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        (value,) = [value for key, value in self.headers if key == name]
        return value


class Wire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """The next answer; `bodiless` to a HEAD request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")[:-2]
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        status = int(first.split()[1])
        bodiless = bodiless or status < 200 or status in (204, 304)
        length = 0 if bodiless else int(dict(headers)["content-length"])
        return Answer(status, headers, await self.reader.readexactly(length))

    async def closed(self) -> bool:
        """Waits until the other side has closed; whether nothing more came before."""
        return await self.reader.read() == b""


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """The port on which the application is served as `facet up` serves it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        async with listen.serving(app, [listener]):
            yield listener.getsockname()[1]


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield Wire(reader, writer)
    finally:
        writer.close()


async def ask(port: int, request: bytes) -> Answer:
    """One request on a connection of its own, which the answer must leave without rest."""
    async with connected(port) as wire:
        await wire.send(request)
        answer = await wire.answer(bodiless=request.startswith(b"HEAD "))
        wire.writer.write_eof()
        assert await wire.closed(), "something follows the answer"
        return answer
