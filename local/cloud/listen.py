"""Sockets and the HTTP server on them: the usual port where it is free, a remembered one otherwise."""

import asyncio
import contextlib
import errno
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local.cloud.state import State

DEFAULT_PORT = 8080
LOOPBACK = "127.0.0.1"
HEAD_LIMIT = 1_048_576  # bytes that are kept of a head without end; applications have limits of their own
LINGER_SECONDS = 2.0
KEPT_SECONDS = 75  # longer than clients keep idle connections: who closes first must not be who is asked
_OFFER = re.compile(rb"\r\nupgrade:[^\r]*", re.IGNORECASE)


class CannotListen(Exception):
    """The address of the settings is none of this machine's; the text names it."""


def sockets(
    state: State,
    host: str,
    wanted: int,
    report: Callable[[str], None],
    *,
    name: str = "gateway",
    setting: str = "APP_PORT",
) -> list[socket.socket]:
    """Listening sockets on one port: `wanted` (0: any), or else a free one that is kept for the next start.

    Raises CannotListen, which names the port by its `setting`.
    """
    try:
        first = _bound(host, wanted)
    except (socket.gaierror, OverflowError) as wrong:
        raise CannotListen(f"APP_HOST {host} and {setting} {wanted} are no address to listen on: {wrong}") from wrong
    except OSError as taken:
        if taken.errno != errno.EADDRINUSE:
            raise CannotListen(f"APP_HOST {host}, {setting} {wanted} cannot be had: {taken.strerror}") from taken
        other = state.port(name)
        report(f"{name}: port {wanted} cannot be had ({taken.strerror}); using {other}")
        first = _bound(host, other)
    found = [first]
    if host == LOOPBACK:  # `localhost` is both addresses, and clients try ::1 first
        with contextlib.suppress(OSError):
            found.append(_bound("::1", first.getsockname()[1]))
    return found


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


@contextlib.asynccontextmanager
async def serving(app: Any, sockets: list[socket.socket]) -> AsyncIterator[None]:
    """Serves an ASGI application on these sockets while the block runs; open requests get a second to end."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        log_config=None,
        log_level="error",  # a request that cannot be read is its client's to know
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=KEPT_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=sockets))
    while not server.started and not task.done():
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Protocol(HttpToolsProtocol):
    """uvicorn's, but refusals are JSON like everything else, a request's head has an end, and trailers are dropped.

    Who offers to go on in another protocol (Java's client does, with every first request) is answered in this one: the
    offer is hidden from the parser, which would not read the request's body.
    """

    _head_size = 0
    _in_head = True
    _refused = False

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._refused:
            return
        if self._in_head:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _OFFER.sub(b"", head) + end + rest
        super().data_received(data)
        self._head_size += len(data) if self._in_head else 0
        if self._head_size > HEAD_LIMIT:
            detail = f"The address and the headers are longer than {HEAD_LIMIT} bytes."
            self._refuse("431 Request Header Fields Too Large", detail, "HEADERS_TOO_LARGE")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after the body, which would slip past every check of the headers."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of the head."""
        self._head_size, self._in_head = 0, False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The end of the body."""
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are no HTTP request, and closes the connection."""
        self._refuse("400 Bad Request", msg, "BAD_REQUEST")

    def _refuse(self, status: str, detail: str, code: str) -> None:
        """Who is cut off while sending may never read the answer: what still comes is thrown away for a while."""
        body = json.dumps({"message": status[4:], "detail": detail, "code": code}).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.write_eof()
        self._refused = True
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: Ctrl-C belongs to `facet up`, which runs several servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the process's signal handlers alone."""
        yield
