"""Functions that print and answer what they should not, so that others can be seen to hide it."""

import json
import time
from pathlib import Path
from typing import Any


def greet(event: dict[str, Any], context: Any) -> dict[str, Any]:
    name = json.loads(event["body"])["name"]
    word = Path(__file__).with_name("word").read_text().strip()
    return answered(200, {"text": f"{word} {name}", "at": int(time.time())})


def sign_in(event: dict[str, Any], context: Any) -> dict[str, Any]:
    print(event)
    print(json.dumps(event, indent=2))
    print(f"user:password of the database: postgresql://ada:{event['headers']['x-database-password']}@localhost/db")
    return answered(201, {name: value for name, value in event["headers"].items() if name.startswith("x-")})


def fail(event: dict[str, Any], context: Any) -> None:
    raise ValueError(f"token={event['headers']['access-token']}")


def erase(event: dict[str, Any], context: Any) -> dict[str, Any]:
    print("erasing")
    return {"statusCode": 204 if event["rawQueryString"] == "sure" else 401}


def answered(status: int, body: Any) -> dict[str, Any]:
    headers = {"content-type": "application/json", "set-cookie": "session=0123456789abcdef"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}
