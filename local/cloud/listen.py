"""Sockets and the HTTP server on them: the usual port where it is free, a remembered one otherwise."""

import asyncio
import contextlib
import errno
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local.cloud.state import State

DEFAULT_PORT = 8080
LOOPBACK = "127.0.0.1"


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
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
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
    """uvicorn's, but what it cannot parse is refused in JSON like everything else."""

    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are no HTTP request, and closes the connection."""
        body = json.dumps({"message": "Bad Request", "detail": msg, "code": "BAD_REQUEST"}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: Ctrl-C belongs to `facet up`, which runs several servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the process's signal handlers alone."""
        yield
