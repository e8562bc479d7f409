"""Why a request is refused: the root of every public failure of the business."""

from typing import ClassVar


class Refusal(Exception):
    """A request that was understood and is not granted; `str()` is the detail people read."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.title)


class UserGone(Refusal):
    """A valid token whose user has been erased or disabled since it was issued."""

    status = 403
    code = "TOKEN_INVALID"
    title = "Invalid token"
