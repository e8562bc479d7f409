"""Takes an order, and tells what surrounds it."""

import json
import os
from pathlib import Path
from typing import Any

import texts  # type: ignore[import-not-found] # it stands beside the handler


def app(event: dict[str, Any], context: Any) -> Any:
    order = json.loads(event["body"])
    print("order of", order["item"])
    answer = {
        "text": texts.THANKS,
        "currency": os.environ["CURRENCY"],
        "pid": os.getpid(),
        "version": event.get("version"),
        "function": context.function_name,
        "folder": Path.cwd().name,
    }
    return {"statusCode": 201, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
