import os
import time
from typing import Any


def app(event: dict[str, Any], context: Any) -> Any:
    time.sleep(float(event.get("seconds", event.get("rawQueryString") or 0.2)))
    return {"pid": os.getpid()}
