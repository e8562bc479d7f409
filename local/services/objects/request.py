"""A request as S3 reads it: bucket and key from the path, parameters and headers decoded."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote, unquote_plus

from local.services.objects.errors import S3Error

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LONGEST_KEY = 1024


@dataclass(frozen=True)
class Request:
    """Names of headers are lower case; repeated headers are joined by a comma."""

    method: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    receive: Receive

    @property
    def bucket(self) -> str:
        return self.path[1:].partition("/")[0]

    @property
    def key(self) -> str:
        return self.path[1:].partition("/")[2]

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(self.parameters)

    def number(self, name: str, default: int, *, most: int) -> int:
        """A parameter that is a count: refused when it is no number, cut when it is beyond `most`."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isascii() or not text.isdigit():
            raise S3Error("InvalidArgument", f"{name} must be a number.", ArgumentName=name)
        return min(int(text[:10]), most)


def read(scope: Message, receive: Receive) -> Request:
    """The request in an ASGI scope; raises S3Error for an address that is no text or a key too long."""
    try:
        path = unquote(scope["raw_path"].decode("ascii"), errors="strict")
        pairs = [pair.partition("=") for pair in scope["query_string"].decode("ascii").split("&") if pair]
        parameters = tuple((_text(name), _text(value)) for name, _, value in pairs)
    except UnicodeDecodeError as exc:
        raise S3Error("InvalidURI") from exc
    request = Request(scope["method"], path, parameters, _headers(scope["headers"]), receive)
    if len(request.key.encode()) > _LONGEST_KEY:
        raise S3Error("KeyTooLongError")
    return request


def copy_source(request: Request) -> tuple[str, str]:
    """Bucket and key that `x-amz-copy-source` names."""
    source, _, version = request.headers["x-amz-copy-source"].partition("?")
    if version:
        raise S3Error("NotImplemented", "This server keeps no versions.")
    bucket, _, key = unquote(source).removeprefix("/").partition("/")
    if not bucket or not key:
        raise S3Error("InvalidArgument", "x-amz-copy-source must be bucket/key.")
    return bucket, key


def _text(value: str) -> str:
    return unquote_plus(value, errors="strict")


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        text = _decoded(value)
        lower = name.decode("ascii")
        headers[lower] = f"{headers[lower]},{text}" if lower in headers else text
    return headers


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
