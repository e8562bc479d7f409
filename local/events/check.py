"""Whether an event is what its source would send, and which of its fields is not."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from local.events.models import Event, model_of

_WORDS = {
    "missing": "missing",
    "string_type": "not a text",
    "int_type": "not a whole number",
    "bool_type": "not true or false",
    "list_type": "not a list",
    "dict_type": "not an object",
    "model_type": "not an object",
    "too_short": "empty",
}


class InvalidEvent(Exception):
    """The event of a known source has wrong fields; the text names each of them."""

    def __init__(self, model: type[Event], problems: list[str]) -> None:
        self.problems = problems
        super().__init__(f"This is no event of {model.title}:\n" + "\n".join(f"  {each}" for each in problems))


def check(event: Any) -> str | None:
    """The name of the event's source; None for JSON of no known source, of which any is right. Raises InvalidEvent."""
    model = model_of(event)
    if model is None:
        return None
    try:
        model.model_validate(event)
    except ValidationError as exc:
        raise InvalidEvent(model, [_told(error) for error in exc.errors()]) from exc
    return model.title


def _told(error: ErrorDetails) -> str:
    place = ""
    for part in error["loc"]:
        if part != "[key]":
            place += f"[{part}]" if isinstance(part, int) else f".{part}"
    if error["type"] == "literal_error":
        return f"{place[1:]}: not {error['ctx']['expected'].replace(chr(39), chr(34))}"
    return f"{place[1:]}: {_WORDS.get(error['type'], error['msg'].removeprefix('Value error, '))}"
