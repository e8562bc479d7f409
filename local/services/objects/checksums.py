"""Checksums a client may send along: MD5 and the x-amz-checksum family, without a package for the rarer CRCs."""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Protocol

from local.services.objects.errors import S3Error

CONTENT = "x-amz-content-sha256"
PREFIX = "x-amz-checksum-"
_HEXADECIMAL = re.compile("[0-9a-f]{64}")
_ABOUT_CHECKSUMS = {"x-amz-checksum-mode", "x-amz-checksum-algorithm", "x-amz-checksum-type"}


class Checksum(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class TableCrc:
    """Any reflected CRC, a byte at a time: about 10 MB/s."""

    def __init__(self, polynomial: int, size: int) -> None:
        self._table = _table(polynomial)
        self._mask = (1 << 8 * size) - 1
        self._size = size
        self._value = self._mask

    def update(self, data: bytes, /) -> None:
        table, value = self._table, self._value
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        self._value = value

    def digest(self) -> bytes:
        return (self._value ^ self._mask).to_bytes(self._size, "big")


@cache
def _table(polynomial: int) -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        return value

    return tuple(map(entry, range(256)))


_md5 = partial(hashlib.md5, usedforsecurity=False)

_ALGORITHMS: Mapping[str, Callable[[], Checksum]] = {
    CONTENT: hashlib.sha256,
    "content-md5": _md5,
    "x-amz-checksum-crc32": Crc32,
    "x-amz-checksum-crc32c": lambda: TableCrc(0x82F63B78, 4),
    "x-amz-checksum-crc64nvme": lambda: TableCrc(0x9A6C9329AC4BC9B5, 8),
    "x-amz-checksum-md5": _md5,
    "x-amz-checksum-sha1": partial(hashlib.sha1, usedforsecurity=False),
    "x-amz-checksum-sha256": hashlib.sha256,
    "x-amz-checksum-sha512": hashlib.sha512,
}


def entity_tag() -> Checksum:
    """What an ETag is made of."""
    return _md5()


class Promises:
    """Digests a client gave for a body: feed it the body, then ask whether they were kept."""

    def __init__(self, headers: Mapping[str, str], announced: Iterable[str] = ()) -> None:
        """`announced` names checksums whose values come after the body."""
        self._given = _given(headers)
        self._running = {name: _new(name) for name in (*self._given, *announced)}

    def update(self, data: bytes) -> None:
        for checksum in self._running.values():
            checksum.update(data)

    def verify(self, trailer: Mapping[str, str]) -> dict[str, str]:
        """The x-amz-checksum headers that held; raises S3Error for any that did not."""
        found = {name: checksum.digest() for name, checksum in self._running.items()}
        for name, digest in {**self._given, **_given(trailer)}.items():
            if digest != found[name]:
                code = "XAmzContentSHA256Mismatch" if name == CONTENT else "BadDigest"
                raise S3Error(code, f"{name} is not that of the body received.")
        return {name: encoded(digest) for name, digest in found.items() if name.startswith(PREFIX)}


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _given(headers: Mapping[str, str]) -> dict[str, bytes]:
    given = {name: _decoded(name, value) for name, value in headers.items() if _is_checksum(name)}
    if _HEXADECIMAL.fullmatch(headers.get(CONTENT, "")):
        given[CONTENT] = bytes.fromhex(headers[CONTENT])
    return given


def _is_checksum(name: str) -> bool:
    return name == "content-md5" or (name.startswith(PREFIX) and name not in _ABOUT_CHECKSUMS)


def _new(name: str) -> Checksum:
    if name not in _ALGORITHMS:
        raise S3Error("InvalidRequest", f"{name} is not a checksum this server knows.")
    return _ALGORITHMS[name]()


def _decoded(name: str, value: str) -> bytes:
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError as exc:
        raise S3Error("InvalidDigest", f"{name} is not base64.") from exc
    if len(digest) != len(_new(name).digest()):
        raise S3Error("InvalidDigest", f"{name} does not have the length of its algorithm.")
    return digest
