"""An ASGI request: whom it asks for, and its body up to a limit."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlsplit

from local.events import HttpRequest
from local.events.response import HOP_BY_HOP

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_URL_CHARACTERS = "/%:@!$&'()*+,;=-._~?#[]"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def is_loopback(origin: str) -> bool:
    """Whether a page with this origin came from this machine."""
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")


class BodyTooLarge(Exception):
    """The body is longer than the limit; it was not read to its end."""


class Disconnected(Exception):
    """The client left before its request was complete."""


class Incoming:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope, self._receive = scope, receive
        self._complete = "content-length" not in self.headers and "transfer-encoding" not in self.headers

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @cached_property
    def path(self) -> str:
        """As sent, percent-encoded; what may stand in no URL is encoded too."""
        return quote(self.scope.get("raw_path") or self.scope["path"].encode(), safe=_URL_CHARACTERS)

    @cached_property
    def header_list(self) -> list[tuple[str, str]]:
        return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.scope["headers"]]

    @cached_property
    def headers(self) -> dict[str, str]:
        return dict(self.header_list)

    @cached_property
    def host(self) -> str | None:
        """The host's name without port and in lower case; None unless there is exactly one."""
        hosts = [value for name, value in self.header_list if name == "host"]
        if len(hosts) != 1 or not hosts[0]:
            return None
        name, colon, port = hosts[0].strip().lower().rpartition(":")
        return (name if colon and port.isdigit() else hosts[0].strip().lower()).rstrip(".")

    @property
    def head_size(self) -> int:
        head = len(self.path) + len(self.scope.get("query_string", b""))
        return head + sum(len(name) + len(value) for name, value in self.scope["headers"])

    @property
    def client(self) -> str:
        return str(self.scope["client"][0]) if self.scope.get("client") else "127.0.0.1"

    @property
    def is_local(self) -> bool:
        """Asked for by a loopback name, from this machine: no web page of another site can look like that."""
        try:
            address = ipaddress.ip_address(self.client)
        except ValueError:
            return False
        return address.is_loopback and self.host in LOOPBACK_NAMES

    @property
    def unread(self) -> bool:
        """Whether the client may still be sending its body."""
        return not self._complete

    async def body(self, limit: int) -> bytes:
        """Read the body. Raises BodyTooLarge, before reading where the length says so, and Disconnected."""
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            raise BodyTooLarge
        chunks: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge
        return b"".join(chunks)

    async def drain(self, seconds: float) -> None:
        """Throw away what the client still sends: one that is cut off while sending may never read its answer."""
        with contextlib.suppress(TimeoutError, Disconnected):
            async with asyncio.timeout(seconds):
                async for _ in self.chunks():
                    pass

    async def chunks(self) -> AsyncIterator[bytes]:
        """What is left of the body, piece by piece. Raises Disconnected."""
        while not self._complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            self._complete = not message.get("more_body", False)
            if chunk := message.get("body"):
                yield chunk

    def request(self, path: str, body: bytes, *, request_id: str, trace: str) -> HttpRequest:
        """The request as an event shows it, with the headers that AWS adds."""
        kept = [(name, value) for name, value in self.header_list if name not in HOP_BY_HOP]
        forwarded = [value for name, value in kept if name == "x-forwarded-for"]
        server = self.scope.get("server") or ("", 80)
        added = {
            "x-forwarded-for": ", ".join([*forwarded, self.client]),
            "x-forwarded-port": str(server[1] or 80),
            "x-forwarded-proto": str(self.scope.get("scheme", "http")),
            "x-amzn-trace-id": trace,
        }
        if body:
            added["content-length"] = str(len(body))
        return HttpRequest(
            method=self.method,
            path=path,
            query=quote(self.scope.get("query_string", b""), safe=_URL_CHARACTERS),
            headers=tuple([item for item in kept if item[0] not in added] + list(added.items())),
            body=body,
            source_ip=self.client,
            protocol=f"HTTP/{self.scope.get('http_version', '1.1')}",
            request_id=request_id,
        )
