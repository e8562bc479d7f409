import os
import time
from typing import Any


def app(event: dict[str, Any], context: Any) -> Any:
    print("at work", context.aws_request_id, flush=True)
    time.sleep(float(event.get("seconds", event.get("rawQueryString") or 0.2)))
    return {"pid": os.getpid()}
