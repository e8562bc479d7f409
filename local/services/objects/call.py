"""One call of an operation: the request, who signed it, its body, and the storage it is about."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from local.services.objects.answer import Answer
from local.services.objects.body import Body
from local.services.objects.errors import S3Error
from local.services.objects.keys import Key, Right
from local.services.objects.request import Request
from local.services.objects.storage import Storage


@dataclass(frozen=True)
class Call:
    request: Request
    caller: Key
    body: Body
    storage: Storage

    def require(self, right: Right, bucket: str) -> None:
        if not self.caller.may(right, bucket):
            raise S3Error("AccessDenied")


@dataclass(frozen=True)
class Operation:
    """What the caller must be allowed on the bucket, and what is done then."""

    right: Right
    perform: Callable[[Call], Awaitable[Answer]]
