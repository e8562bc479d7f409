"""Tells what an order costs."""

import json
import os

from shop.prices import price


def handler(event, context):
    number = (event.get("pathParameters") or {}).get("id", "0")
    body = {"order": number, "price": price(int(number)), "currency": os.environ["CURRENCY"]}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}
