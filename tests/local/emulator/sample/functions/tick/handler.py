from typing import Any


def app(event: Any, context: Any) -> Any:
    return event
