"""The server as an ASGI application."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from uuid import uuid4

from local.services.objects import cors, operations, request, signature
from local.services.objects.answer import Answer, refusal
from local.services.objects.body import Body
from local.services.objects.call import Call
from local.services.objects.cors import Rule
from local.services.objects.errors import S3Error
from local.services.objects.keys import Key
from local.services.objects.request import Message, Receive, Request, Send
from local.services.objects.storage import Storage

_HEALTH = "/minio/health/live"
_parsed = lru_cache(maxsize=64)(cors.parse)
_log = logging.getLogger(__name__)


class App:
    """Answers every request with an S3 document, whatever happens; only a fault of its own is logged."""

    def __init__(self, storage: Storage, keys: Mapping[str, Key], *, now: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._keys = keys
        self._now = now

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        answer.headers["x-amz-request-id"] = uuid4().hex
        if answer.status >= 400 and any(name == b"expect" for name, _ in scope["headers"]):
            # The client may have kept its body back: what follows on the connection would be taken for it.
            answer.headers["Connection"] = "close"
        await answer.send(send)

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        if scope["path"] == _HEALTH and scope["method"] in ("GET", "HEAD"):
            return Answer()
        try:
            asked = request.read(scope, receive)
        except S3Error as exc:
            return refusal(exc, scope["path"])
        try:
            answer = await self._perform(asked)
        except S3Error as exc:
            answer = refusal(exc, asked.path)
        except Exception:
            _log.exception("%s %r failed", asked.method, asked.path)
            answer = refusal(S3Error("InternalError"), asked.path)
        answer.headers |= self._cors_headers(asked)
        return answer

    async def _perform(self, asked: Request) -> Answer:
        if asked.method == "OPTIONS":
            return Answer(headers=cors.preflight(self._rules(asked.bucket), asked.headers))
        signer = signature.verify(asked, self._keys, now=self._now())
        call = Call(asked, signer.key, Body(asked, signer), self._storage)
        operation = operations.find(asked)
        call.require(operation.right, asked.bucket)
        return await operation.perform(call)

    def _cors_headers(self, asked: Request) -> dict[str, str]:
        """A browser may not even read a refusal without them."""
        origin = asked.headers.get("origin")
        if origin is None or asked.method == "OPTIONS":
            return {}
        return cors.headers(self._rules(asked.bucket), asked.method, origin)

    def _rules(self, bucket: str) -> tuple[Rule, ...]:
        document = self._storage.cors(bucket)
        return _parsed(document) if document else ()
