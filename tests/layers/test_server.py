"""What a client sends is one request and no other, in whatever pieces it comes."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from facet.adapters.asgi import Receive, Scope, Send
from facet.server import _Protocol

pytestmark = pytest.mark.anyio
OFFER = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nabcd"
OTHER = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"


class Heard:
    """An application that keeps the requests it got, and a connection that keeps what was written."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[bytes, bytes], bytes]] = []
        self.wire = _Wire()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.requests.append((scope["path"], dict(scope["headers"]), body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


class _Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent, self.closed = b"", False

    def write(self, data: Any) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def connected(heard: Heard, **options: Any) -> _Protocol:
    """What speaks with a client of this application."""
    config = uvicorn.Config(heard.app, ws="none", log_config=None, lifespan="off", interface="asgi3", **options)
    protocol = _Protocol(config, ServerState(), {})
    protocol.connection_made(heard.wire)
    return protocol


async def heard(pieces: Iterable[bytes]) -> Heard:
    """What comes of these pieces."""
    heard = Heard()
    protocol = connected(heard)
    for piece in pieces:
        protocol.data_received(piece)
        for _ in range(5):  # what the application does with it
            await asyncio.sleep(0)
    protocol.timeout_keep_alive_handler()
    protocol.connection_lost(None)
    return heard


def _in_two(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    return ((data[:at], data[at:]) for at in range(1, len(data)))


async def test_an_offer_of_another_protocol_in_whatever_pieces_makes_no_request_of_a_body() -> None:
    for pieces in [*_in_two(OFFER), [bytes([byte]) for byte in OFFER], [OFFER]]:
        found = await heard([*pieces, OTHER])
        assert [(path, body) for path, _, body in found.requests] == [("/echo", b"abcd"), ("/other", b"")], pieces


@pytest.mark.parametrize(
    "offer",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nX: 1\nUpgrade: h2c\nContent-Length: 4\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\nContent-Length: 4\r\n\r\n",
        OTHER + OFFER[:-4],
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_follows_an_offer_that_cannot_be_hidden_is_no_request(offer: bytes) -> None:
    found = await heard([offer, b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"])
    assert {path for path, *_ in found.requests} <= {"/other"}


async def test_a_value_that_looks_like_an_offer_stays_one() -> None:
    found = await heard([b"GET /echo HTTP/1.1\r\nX: ", b"Upgrade: a\r", b"\nHost: x\r\n\r", b"\n"])
    assert [headers for _, headers, _ in found.requests] == [{b"x": b"Upgrade: a", b"host": b"x"}]


async def test_a_body_that_looks_like_an_offer_stays_one() -> None:
    body = b"\r\nUpgrade: h2c\r\n\r\n"
    request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for pieces in _in_two(request):
        found = await heard([*pieces, OTHER])
        assert [body for _, _, body in found.requests] == [body, b""], pieces


@pytest.mark.parametrize(
    "hosts", [b"HTTP/1.1\r\n", b"HTTP/1.1\r\nHost: x\r\nhost: x\r\n", b"HTTP/1.0\r\nHost: x\r\nHost: y\r\n"]
)
async def test_a_request_without_one_host_is_refused_and_what_follows_it_is_no_request(hosts: bytes) -> None:
    request = b"POST /echo " + hosts + b"Content-Length: 4\r\n\r\nabcd"
    for pieces in [*_in_two(request), [request]]:
        found = await heard([*pieces[:-1], pieces[-1] + OTHER, OTHER])
        assert found.requests == [], pieces
        assert found.wire.sent.count(b"HTTP/1.1 ") == 1, pieces
        assert found.wire.sent.startswith(b"HTTP/1.1 400 "), pieces
        assert b'"HOST_INVALID"' in found.wire.sent, pieces


async def test_a_request_without_one_host_keeps_the_one_before_from_no_answer() -> None:
    found = await heard([OTHER + b"GET /echo HTTP/1.1\r\n\r\n" + OTHER])
    assert [path for path, *_ in found.requests] == ["/other"]
    assert found.wire.sent.startswith(b"HTTP/1.1 200 ")
    assert found.wire.sent.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("head", [b"HTTP/1.0\r\n\r\n", b"HTTP/1.0\r\nHost: x\r\n\r\n", b"HTTP/1.1\r\nHost:\r\n\r\n"])
async def test_an_old_client_needs_no_host_and_a_host_may_be_empty(head: bytes) -> None:
    found = await heard([b"GET /echo " + head])
    assert [path for path, *_ in found.requests] == ["/echo"]


async def test_trailers_without_end_are_refused() -> None:
    begun = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "
    found = await heard([begun, *[b"y" * 1000] * 100])
    assert found.wire.sent.startswith(b"HTTP/1.1 431 ")


async def test_a_long_body_in_short_chunks_is_read() -> None:
    begun = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = await heard([begun, *[b"64\r\n%b\r\n" % (b"y" * 100)] * 1000, b"0\r\n\r\n"])
    assert [len(body) for *_, body in found.requests] == [100_000]


@pytest.mark.parametrize("sent", [b"", b"GET /echo HTTP/1.1\r\nX"])
async def test_who_sends_no_whole_head_is_not_waited_for_without_end(sent: bytes) -> None:
    silent = Heard()
    protocol = connected(silent, timeout_keep_alive=0.05)
    protocol.data_received(sent)
    async with asyncio.timeout(10):
        while not silent.wire.closed:
            await asyncio.sleep(0.01)


async def test_a_body_may_take_longer_than_an_idle_connection_is_kept() -> None:
    slow = Heard()
    protocol = connected(slow, timeout_keep_alive=0.01)
    protocol.data_received(OFFER[:-4])
    assert protocol.timeout_keep_alive_task is None
