"""Metadata: what clients write on their tasks and get back as it came."""

import json
import math
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

MAX_KEYS = 16
MAX_KEY_LENGTH = 40
MAX_BYTES = 4096  # as JSON in UTF-8

Value = str | int | float | bool | None
Key = Annotated[str, Field(min_length=1, max_length=MAX_KEY_LENGTH)]


def _checked(given: object) -> object:
    if not isinstance(given, dict):
        _refuse("Metadata is a JSON object")
    if len(given) > MAX_KEYS:
        _refuse(f"Metadata has at most {MAX_KEYS} keys")
    for key, value in given.items():
        if not (isinstance(key, str) and 1 <= len(key) <= MAX_KEY_LENGTH):
            _refuse(f"A key of metadata has 1 to {MAX_KEY_LENGTH} characters")
        if not isinstance(value, Value) or (isinstance(value, float) and not math.isfinite(value)):
            _refuse("A value of metadata is a string, a finite number, a boolean or null")
        if "\0" in key or (isinstance(value, str) and "\0" in value):
            _refuse("NUL characters are not allowed")
    if _size(given) > MAX_BYTES:
        _refuse(f"Metadata has at most {MAX_BYTES} bytes as JSON")
    return given


def _size(given: dict[str, Any]) -> int:
    try:
        return len(json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        _refuse("Lone surrogates are not allowed")
    except ValueError:
        _refuse("A number has too many digits")


def _parsed(given: object) -> object:
    """A form field carries its JSON as text."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given, object_pairs_hook=_object, parse_constant=_constant)
    except PydanticCustomError:  # a ValueError too, but ours
        raise
    except (ValueError, RecursionError):
        _refuse("Metadata is not valid JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        _refuse("A name is repeated in an object")
    return names


def _constant(name: str) -> NoReturn:
    raise ValueError(name)


def _refuse(words: str) -> NoReturn:
    raise PydanticCustomError("metadata_invalid", "{words}", {"words": words})


Metadata = Annotated[
    dict[Key, Value],
    BeforeValidator(_checked),
    Field(
        max_length=MAX_KEYS,
        description=f"Your own words on the task, given back as they came: at most {MAX_KEYS} keys of at most "
        f"{MAX_KEY_LENGTH} characters, values that are strings, numbers, booleans or null, {MAX_BYTES // 1024} KB as "
        "JSON. In test mode `sandbox` asks how the task ends: `success`, `invalid_input:CODE`, `failed:CODE`, `stuck` "
        "or `slow:SECONDS`.",
        examples=[{"order": "A-1042", "kiosk": 3}],
    ),
]
FormMetadata = Annotated[Metadata, BeforeValidator(_parsed)]
