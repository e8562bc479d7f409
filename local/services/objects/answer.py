"""Answers: status, headers, and a body that is bytes or a stretch of a file."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from local.services.objects import documents
from local.services.objects.errors import S3Error
from local.services.objects.request import Send

_PIECE = 256 << 10


@dataclass(frozen=True)
class Stretch:
    """`count` bytes of an open file from `first` on; read once, and closed then."""

    file: BinaryIO
    first: int
    count: int

    def __iter__(self) -> Iterator[bytes]:
        with self.file:
            self.file.seek(self.first)
            left = self.count
            while left and (piece := self.file.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Stretch = b""

    async def send(self, send: Send) -> None:
        body = self.body
        if self.status not in (204, 304):
            length = len(body) if isinstance(body, bytes) else body.count
            self.headers.setdefault("Content-Length", str(length))
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if isinstance(body, Stretch):
            for piece in body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)  # a reader who has left takes everything at once
            body = b""
        await send({"type": "http.response.body", "body": body})


def document(name: str, content: documents.Content, *, status: int = 200, namespace: bool = True) -> Answer:
    body = documents.render(name, content, namespace=namespace)
    return Answer(status, {"Content-Type": "application/xml"}, body)


def refusal(error: S3Error, resource: str) -> Answer:
    content = [("Code", error.code), ("Message", error.message), *error.details.items(), ("Resource", resource)]
    return document("Error", content, status=error.status, namespace=False)
