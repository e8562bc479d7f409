"""Answers with the event it got and with what its environment is like, or with what the event asks for."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from greeting import hello  # type: ignore[import-not-found] # it comes with the sample's layer

calls = 0


def app(event: dict[str, Any], context: Any) -> Any:
    global calls
    calls += 1
    if "respond" in event:
        return event["respond"]
    if event.get("rawQueryString") == "respond":
        return json.loads(event["body"])
    client = context.client_context
    seen = {
        "event": event,
        "greeting": hello(os.environ["GREETING"]),
        "environment": dict(os.environ),
        "path": sys.path,
        "folder": str(Path.cwd()),
        "module": __name__,
        "calls": calls,
        "pid": os.getpid(),
        "request_id": context.aws_request_id,
        "function": context.function_name,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "log_stream": context.log_stream_name,
        "client_context": client and {"custom": client.custom, "app_title": client.client.app_title},
    }
    return {"statusCode": 200, "body": json.dumps(seen)} if "httpMethod" in event else seen
