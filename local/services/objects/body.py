"""The body of a request: decoded piece by piece, and held to everything the headers promised about it."""

import re
from collections.abc import AsyncIterator, Mapping

from local.services.objects.checksums import CONTENT, PREFIX, Promises
from local.services.objects.chunked import Chain, Decoder
from local.services.objects.errors import S3Error
from local.services.objects.request import Receive, Request
from local.services.objects.signature import Signer

_LARGEST = 5 << 30
_LARGEST_DOCUMENT = 4 << 20
_WHOLE = re.compile("UNSIGNED-PAYLOAD|[0-9a-f]{64}")
_STREAMED = re.compile("STREAMING-(AWS4-HMAC-SHA256|UNSIGNED)-PAYLOAD(-TRAILER)?")


class Body:
    """Iterate to read it: the last step raises S3Error unless length, signatures and checksums held.

    `checksums` are the x-amz-checksum headers that did hold, known after reading.
    """

    def __init__(self, request: Request, signer: Signer) -> None:
        self._request = request
        self._signer = signer
        self._scheme = signer.claim.content
        self._streamed = _STREAMED.fullmatch(self._scheme) is not None
        if not self._streamed and not _WHOLE.fullmatch(self._scheme):
            raise S3Error("InvalidArgument", "x-amz-content-sha256 is neither a digest nor a scheme known here.")
        self._promised: Mapping[str, str] = {**request.headers, CONTENT: self._scheme}
        self.checksums: dict[str, str] = {}

    @property
    def length(self) -> int:
        """How many bytes there will be, decoded."""
        text = self._request.headers.get("x-amz-decoded-content-length" if self._streamed else "content-length", "")
        if not re.fullmatch("[0-9]{1,15}", text):
            raise S3Error("MissingContentLength")
        if int(text) > _LARGEST:
            raise S3Error("EntityTooLarge")
        return int(text)

    async def document(self, *, of_object: bool = False) -> bytes:
        """The whole body, when it is an XML document; `of_object` when checksums in the headers are not about it."""
        if of_object:
            self._promised = {name: value for name, value in self._promised.items() if not name.startswith(PREFIX)}
        if self.length > _LARGEST_DOCUMENT:
            raise S3Error("MaxMessageLengthExceeded")
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self.length
        announced = self._announced()
        promises = Promises(self._promised, announced)
        decoder = self._decoder()
        async for piece in decoder or _received(self._request.receive):
            left -= len(piece)
            if left < 0:
                break
            promises.update(piece)
            yield piece
        if left:
            raise S3Error("IncompleteBody")
        trailer = decoder.trailer if decoder else {}
        if trailer.keys() != announced:
            raise S3Error("MalformedTrailerError")
        self.checksums = promises.verify(trailer)

    def _announced(self) -> set[str]:
        if not self._scheme.endswith("-TRAILER"):
            return set()
        names = self._request.headers.get("x-amz-trailer", "").lower().split(",")
        return {name.strip() for name in names} - {""}

    def _decoder(self) -> Decoder | None:
        if not self._streamed:
            return None
        signer = None if "-UNSIGNED-" in self._scheme else self._signer
        chain = Chain(signer, self._signer.claim.signature)
        pieces = _received(self._request.receive)
        return Decoder(pieces, chain, with_trailer=self._scheme.endswith("-TRAILER"))


async def _received(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise S3Error("IncompleteBody")
        more = message.get("more_body", False)
        if message.get("body"):
            yield message["body"]
