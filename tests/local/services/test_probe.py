"""Asking servers whether they are there."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from local.services import probe
from tests.stacks import free_port

pytestmark = pytest.mark.anyio
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """The port of a server that talks like this; at the end it has hung up everywhere."""
    answers: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.add(asyncio.current_task())
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        yield int(server.sockets[0].getsockname()[1])
    await asyncio.gather(*(each for each in answers if each))


def saying(reply: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(3)
        writer.write(reply)

    return talk


async def test_nobody_there_is_an_answer_too() -> None:
    closed_port = free_port()
    assert not await probe.speaks_amqp("127.0.0.1", closed_port)
    assert not await probe.speaks_epmd("127.0.0.1", closed_port)
    assert await probe.http_status(f"http://127.0.0.1:{closed_port}/") is None
    assert await probe.http_status("http://no-such-host.invalid/") is None


async def test_a_broker_is_known_by_its_greeting() -> None:
    async with serving(saying(b"\x01\x00\x00\x00\x00\x01\xf4\x00\x0a\x00\x0a\x00\x09")) as port:
        assert await probe.speaks_amqp("127.0.0.1", port)


@pytest.mark.parametrize("reply", [b"", b"AMQP\x00\x00\x09\x01", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_something_else_is_no_broker(reply: bytes) -> None:
    async with serving(saying(reply)) as port:
        assert not await probe.speaks_amqp("127.0.0.1", port)
        assert not await probe.speaks_epmd("127.0.0.1", port)


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 0.05)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(listen) as port:
        assert await probe.http_status(f"http://127.0.0.1:{port}/") is None


async def test_a_get_is_answered_with_its_status_and_carries_path_and_account() -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")

    async with serving(talk) as port:
        assert await probe.http_status(f"http://127.0.0.1:{port}/a/b", ("user", "pass:word")) == 503
    account = base64.b64encode(b"user:pass:word").decode()
    request = f"GET /a/b HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {account}\r\n\r\n"
    assert asked == [request.encode()]


async def test_what_is_no_http_has_no_status() -> None:
    async with serving(saying(b"SSH-2.0-OpenSSH_9.2")) as port:
        assert await probe.http_status(f"http://127.0.0.1:{port}/") is None
