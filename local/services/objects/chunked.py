"""aws-chunked bodies: a length and perhaps a signature before every chunk, perhaps checksums in a trailer."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from typing import Protocol

from local.services.objects.errors import S3Error

_LONGEST_LINE = 4096
_EMPTY = hashlib.sha256().hexdigest()
_OPENING = re.compile("([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_SIGNATURE = "x-amz-trailer-signature"
_LONGEST_TRAILER = 8


class ChunkSigner(Protocol):
    def of_chunk(self, purpose: str, *lines: str) -> str: ...


class Chain:
    """Signatures of the chunks, each over the one before it; without a signer nothing is checked."""

    def __init__(self, signer: ChunkSigner | None, seed: str) -> None:
        self._signer = signer
        self._last = seed

    def check(self, given: str, digest: str) -> None:
        self._advance(given, "PAYLOAD", _EMPTY, digest)

    def check_trailer(self, given: str, digest: str) -> None:
        self._advance(given, "TRAILER", digest)

    def _advance(self, given: str, purpose: str, *lines: str) -> None:
        if self._signer is None:
            return
        self._last = self._signer.of_chunk(purpose, self._last, *lines)
        if not hmac.compare_digest(self._last.encode(), given.encode()):
            raise S3Error("SignatureDoesNotMatch", "A chunk of the body does not carry the signature it should.")


class _Source:
    """Lines and runs of bytes out of pieces that are cut anywhere."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""

    async def line(self) -> str:
        """Up to the next line feed, without its ending; empty at the end of the body."""
        while b"\n" not in self._buffer and len(self._buffer) <= _LONGEST_LINE:
            piece = await anext(self._pieces, b"")
            if not piece:
                break
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        if len(line) > _LONGEST_LINE or not line.isascii():
            raise S3Error("InvalidRequest", "The body is not aws-chunked.")
        return line.decode().rstrip("\r")

    async def some(self, most: int) -> bytes:
        """At least one byte, at most `most`."""
        piece = self._buffer or await anext(self._pieces, b"")
        if not piece:
            raise S3Error("IncompleteBody")
        self._buffer = piece[most:]
        return piece[:most]


class Decoder:
    """The bytes inside an aws-chunked body; `trailer` is filled when all of them have been read."""

    def __init__(self, pieces: AsyncIterator[bytes], chain: Chain, *, with_trailer: bool) -> None:
        self._source = _Source(pieces)
        self._chain = chain
        self._with_trailer = with_trailer
        self.trailer: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = -1
        while size:
            size, signature = _opening(await self._source.line())
            digest = hashlib.sha256()
            left = size
            while left:
                piece = await self._source.some(left)
                left -= len(piece)
                digest.update(piece)
                yield piece
            self._chain.check(signature, digest.hexdigest())
            if size and await self._source.line():
                raise S3Error("InvalidRequest", "A chunk of the body is longer than it says.")
        if self._with_trailer:
            await self._read_trailer()

    async def _read_trailer(self) -> None:
        while line := await self._source.line():
            if len(self.trailer) == _LONGEST_TRAILER:
                raise S3Error("MalformedTrailerError")
            name, _, value = line.partition(":")
            self.trailer[name.strip().lower()] = value.strip()
        signature = self.trailer.pop(_SIGNATURE, "")
        text = "".join(f"{name}:{value}\n" for name, value in self.trailer.items())
        self._chain.check_trailer(signature, hashlib.sha256(text.encode()).hexdigest())


def _opening(line: str) -> tuple[int, str]:
    """Size and signature of `size[;chunk-signature=…]`."""
    found = _OPENING.fullmatch(line)
    if found is None:
        raise S3Error("IncompleteBody", "A chunk of the body does not begin with its size.")
    return int(found[1], 16), found[2] or ""
