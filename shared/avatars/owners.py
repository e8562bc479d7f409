"""Who owns a task: a signed-in user, an API key (with or without a user), or neither where keys are switched off."""

from typing import LiteralString, Protocol


class Owner(Protocol):
    @property
    def user_id(self) -> int | None: ...
    @property
    def api_key_id(self) -> int | None: ...


def is_web_user(owner: Owner) -> bool:
    return owner.user_id is not None and owner.api_key_id is None


def sees_tasks(owner: Owner) -> LiteralString:
    """The SQL condition on `tasks t` for what an owner may see, with the parameters %(user_id)s and %(api_key_id)s.

    Users see all that is theirs; a key of a user what any key of that user made, so that keys can be rotated; a key
    without a user what it made itself; nobody in particular what belongs to nobody.
    """
    if owner.user_id is not None and owner.api_key_id is not None:
        return "t.user_id = %(user_id)s AND t.client_type = 'EXTERNAL_INTEGRATION'"
    if owner.api_key_id is not None:
        return "t.api_key_id = %(api_key_id)s"
    if owner.user_id is not None:
        return "t.user_id = %(user_id)s"
    return "t.user_id IS NULL AND t.api_key_id IS NULL"


def folder(owner: Owner) -> str:
    """Where in a bucket this owner's objects lie."""
    if owner.api_key_id is not None:
        return f"key-{owner.api_key_id}"
    return "anonymous" if owner.user_id is None else f"user-{owner.user_id}"
