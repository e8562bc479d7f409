"""Frames between the invoker and a sandbox: a kind, a JSON header and a body of bytes on one stream socket."""

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

INIT = b"I"  # to the sandbox: the function and its environment
EVENT = b"E"  # to the sandbox: one event
READY = b"R"  # the handler is imported; `files` are those of the project
FAILED = b"F"  # it could not be: the body is the error
LISTENING = b"L"  # a debugger may connect; the handler is imported when one has
BEGUN = b"B"  # the event has reached the handler, at `began`
RESULT = b"D"  # what the handler returned
ERROR = b"X"  # what it raised
SPANS = b"S"  # what was traced meanwhile; comes after RESULT or ERROR, and nobody waits for it

_PREFIX = struct.Struct("!cII")


@dataclass(frozen=True)
class Frame:
    kind: bytes
    header: Mapping[str, Any]
    body: bytes = b""


def pack(kind: bytes, header: Mapping[str, Any], body: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return _PREFIX.pack(kind, len(head), len(body)) + head + body


def lengths(prefix: bytes) -> tuple[bytes, int, int]:
    kind, head, body = _PREFIX.unpack(prefix)
    return kind, head, body


PREFIX_SIZE = _PREFIX.size


class Wire:
    """The sandbox's end: blocking."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, kind: bytes, header: Mapping[str, Any], body: bytes = b"") -> None:
        self._connection.sendall(pack(kind, header, body))

    def receive(self) -> Frame | None:
        """The next frame, or None when the other end is gone."""
        prefix = self._exactly(PREFIX_SIZE)
        if prefix is None:
            return None
        kind, head_length, body_length = lengths(prefix)
        head, body = self._exactly(head_length), self._exactly(body_length)
        return None if head is None or body is None else Frame(kind, json.loads(head), body)

    def _exactly(self, length: int) -> bytes | None:
        buffer = bytearray(length)
        view, done = memoryview(buffer), 0
        while done < length:
            received = self._connection.recv_into(view[done:])
            if not received:
                return None
            done += received
        return bytes(buffer)
