from typing import Any


def another(event: Any, context: Any) -> None: ...
