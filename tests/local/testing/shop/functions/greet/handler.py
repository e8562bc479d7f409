"""Greets when its schedule is due."""

from typing import Any


def app(event: dict[str, Any], context: Any) -> Any:
    if event.get("trouble"):
        raise LookupError(event["trouble"])
    return {"at": event["time"], "source": event["source"]}
