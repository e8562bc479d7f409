"""HTTP with nothing between test and socket: any bytes, any method, a reply read while the body is still going out."""

import json
import select
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

CHUNK = 64 * 1024


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def zeros(length: int) -> Iterator[bytes]:
    """A body of that length, in pieces."""
    while length > 0:
        piece = bytes(min(CHUNK, length))
        length -= len(piece)
        yield piece


def exchange(
    url: str,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    body: Iterable[bytes] = (),
    *,
    host: str | None = None,
) -> Reply:
    """One request to the server of `url` on a connection of its own; stops sending as soon as the server answers."""
    address = urlsplit(url)
    assert address.hostname is not None
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or address.netloc}", "Connection: close"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")
    with socket.create_connection((address.hostname, address.port or 80), timeout=30) as connection:
        _send(connection, chain([head], body))
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        return Reply(answer.status, answer.headers.get_content_type(), answer.read())


def _send(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        readable, _, _ = select.select([connection], [], [], 0)
        if readable:
            return
        try:
            connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return
