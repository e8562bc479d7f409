"""A message as its operator looks at it: taken from a queue, described without secrets, not settled yet."""

import json
from dataclasses import dataclass
from typing import Any

from pika import BasicProperties  # type: ignore[import-untyped] # pika ships no py.typed
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped] # as above

from local.records.redact import redact, redacted


@dataclass(frozen=True)
class Letter:
    tag: int
    properties: BasicProperties
    body: bytes
    redelivered: bool

    @property
    def headers(self) -> dict[str, Any]:
        found = self.properties.headers
        if isinstance(found, Exception):
            return {"unreadable": str(found)}
        return {
            name if isinstance(name, str) else name.decode(errors="replace"): value
            for name, value in (found or {}).items()
        }

    def described(self) -> dict[str, Any]:
        """For the eyes of anybody: without secrets."""
        at, headers = self.properties, self.headers
        try:
            body = redact(self.body.decode())
        except UnicodeDecodeError:
            body = f"[{len(self.body):,} bytes]"
        return {
            "message_id": at.message_id,
            "type": at.type,
            "content_type": at.content_type,
            "correlation_id": at.correlation_id,
            "redelivered": self.redelivered,
            "error_code": headers.get("x-error-code") or headers.get("x-first-death-reason"),
            "error": redact(str(headers.get("x-error") or "")),
            "headers": redacted(json.loads(json.dumps(headers, default=str))),
            "body": body,
        }


def take(channel: BlockingChannel, queue: str, count: int) -> list[Letter]:
    taken = []
    for _ in range(count):
        method, properties, body = channel.basic_get(queue)
        if method is None:
            break
        taken.append(Letter(method.delivery_tag, properties, body, method.redelivered))
    return taken
