"""Access keys and what each of them may do, read from OBJECTS_KEYS."""

from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

Right = Literal["none", "any", "read", "write", "own"]


class KeysError(Exception):
    """OBJECTS_KEYS cannot be used; the text says why and never shows a secret."""


class Key(BaseModel):
    """One access key; `allow` names rights per bucket, and without it the key owns everything."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_key: str = Field(min_length=1)
    secret_key: SecretStr = Field(min_length=8)
    region: str = "us-east-1"
    allow: dict[str, frozenset[Literal["read", "write"]]] | None = None

    def may(self, right: Right, bucket: str) -> bool:
        """`none` asks for nothing, `any` for some right on the bucket, `own` for a key without limits."""
        if self.allow is None or right == "none":
            return True
        granted = self.allow.get(bucket, frozenset())
        return bool(granted) if right == "any" else right in granted


def load(text: str | None) -> dict[str, Key]:
    """Keys by their access key."""
    if not text:
        raise KeysError('OBJECTS_KEYS is not set: give [{"access_key": "…", "secret_key": "…"}] as JSON')
    try:
        keys = TypeAdapter(list[Key]).validate_json(text)
    except ValidationError as exc:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in exc.errors())
        raise KeysError(f"OBJECTS_KEYS is not valid: {faults}") from None
    if not keys:
        raise KeysError("OBJECTS_KEYS is empty: nobody could use the server")
    repeated = [name for name, count in Counter(key.access_key for key in keys).items() if count > 1]
    if repeated:
        raise KeysError(f"OBJECTS_KEYS names {', '.join(repeated)} more than once")
    return {key.access_key: key for key in keys}
