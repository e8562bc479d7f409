"""Understands every HTTP event without a framework: answers with what it understood, or as `x-respond` asks."""

import base64
import hashlib
import json
import time
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

Event = dict[str, Any]
Pairs = list[tuple[str, str]]
# What fronts add, each its own.
ADDED = ("cookie", "content-length", "x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto")


def app(event: Event, context: Any) -> Any:
    headers = joined(header_pairs(event))
    if "x-raise" in headers:
        raise ValueError(headers["x-raise"])
    if "x-sleep" in headers:
        time.sleep(float(headers["x-sleep"]))
    if "x-raw" in headers:
        return json.loads(headers["x-raw"])
    asked = json.loads(headers["x-respond"]) if "x-respond" in headers else {"json": understood(event, headers)}
    return answer(event, asked)


def understood(event: Event, headers: dict[str, str]) -> dict[str, Any]:
    sent = base64.b64decode(event["body"]) if event["isBase64Encoded"] else (event.get("body") or "").encode()
    http = event["requestContext"].get("http", {"method": event.get("httpMethod"), "path": event.get("path")})
    cookies = event.get("cookies") or [part for part in headers.get("cookie", "").split("; ") if part]
    return {
        "method": http["method"],
        "path": http["path"].removeprefix("/portable"),
        "query": grouped(query_pairs(event)),
        "headers": {name: value for name, value in sorted(headers.items()) if name not in ADDED},
        "cookies": cookies,
        "body": base64.b64encode(sent).decode() if len(sent) < 1000 else hashlib.sha256(sent).hexdigest(),
    }


def header_pairs(event: Event) -> Pairs:
    if event.get("multiValueHeaders"):
        return [(name.lower(), value) for name, values in event["multiValueHeaders"].items() for value in values]
    return [(name.lower(), value) for name, value in (event.get("headers") or {}).items()]


def query_pairs(event: Event) -> Pairs:
    if "rawQueryString" in event:
        return parse_qsl(event["rawQueryString"], keep_blank_values=True)
    many, single = event.get("multiValueQueryStringParameters"), event.get("queryStringParameters") or {}
    pairs = [(n, v) for n, values in many.items() for v in values] if many else list(single.items())
    return [(unquote_plus(n), unquote_plus(v)) for n, v in pairs] if "elb" in event["requestContext"] else pairs


def grouped(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def joined(pairs: Pairs) -> dict[str, str]:
    return {name: ("; " if name == "cookie" else ",").join(values) for name, values in grouped(pairs).items()}


def answer(event: Event, asked: dict[str, Any]) -> Event:
    body, headers, cookies = asked.get("body", ""), dict(asked.get("headers", {})), asked.get("cookies", [])
    if "json" in asked:
        body, headers["content-type"] = json.dumps(asked["json"]), "application/json"
    response: Event = {
        "statusCode": asked.get("status", 200),
        "isBase64Encoded": asked.get("base64", False),
        "body": body,
    }
    if event.get("version") == "2.0":
        return {**response, "headers": headers, "cookies": cookies}
    if "elb" in event["requestContext"] and "headers" in event:
        return {**response, "headers": headers | ({"set-cookie": cookies[0]} if cookies else {})}
    lists = {name: [value] for name, value in headers.items()} | ({"set-cookie": cookies} if cookies else {})
    return {**response, "multiValueHeaders": lists}
