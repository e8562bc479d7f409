"""Who owns a task: a signed-in user, an API key (with or without a user), or neither where keys are switched off."""

from typing import Protocol


class Owner(Protocol):
    @property
    def user_id(self) -> int | None: ...
    @property
    def api_key_id(self) -> int | None: ...


def is_web_user(owner: Owner) -> bool:
    return owner.user_id is not None and owner.api_key_id is None
