"""Packs what was ordered; something cursed only at the second attempt."""

import base64
import json
from typing import Any

import texts  # type: ignore[import-not-found] # it stands beside the handler


def app(event: dict[str, Any], context: Any) -> Any:
    [records] = event["rmqMessagesByQueue"].values()
    packed = []
    for record in records:
        item = base64.b64decode(record["data"]).decode()
        if item == "cursed" and not record["redelivered"]:
            raise RuntimeError(texts.REFUSED)
        headers = record["basicProperties"]["headers"] or {}
        packed.append({"item": item, "headers": headers, "redelivered": record["redelivered"]})
    print(json.dumps(packed))
    return packed
