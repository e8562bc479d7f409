"""One HTTP request as the event each cloud front makes of it."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

Event = dict[str, Any]


@dataclass(frozen=True)
class Plain:
    """A request before any front has seen it. `path` is percent-encoded."""

    method: str = "GET"
    path: str = "/"
    query: Sequence[tuple[str, str]] = ()
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    source_ip: str = "203.0.113.9"
    cookies: Sequence[str] = field(default=())

    def with_cookie_header(self) -> list[tuple[str, str]]:
        return [*self.headers, ("Cookie", "; ".join(self.cookies))] if self.cookies else list(self.headers)


def furl(plain: Plain, *, stage: str = "$default") -> Event:
    event: Event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": plain.path,
        "rawQueryString": urlencode(plain.query),
        "headers": {name.lower(): ",".join(values) for name, values in grouped(lowered(plain.headers)).items()},
        "requestContext": {
            "accountId": "anonymous",
            "http": {"method": plain.method, "path": plain.path, "protocol": "HTTP/1.1", "sourceIp": plain.source_ip},
            "requestId": "front",
            "stage": stage,
        },
        **encoded(plain.body),
    }
    if plain.cookies:
        event["cookies"] = list(plain.cookies)
    return event


def http_api(plain: Plain) -> Event:
    """HTTP API behind a named stage, which stands before the path."""
    event = furl(plain, stage="live")
    parameters = {"proxy": plain.path.lstrip("/")}
    return {
        **event,
        "rawPath": f"/live{plain.path}",
        "routeKey": "ANY /{proxy+}",
        "pathParameters": parameters,
        "stageVariables": None,
    }


def rest(plain: Plain) -> Event:
    headers, query = grouped(plain.with_cookie_header()), grouped(plain.query)
    return {
        "resource": "/{proxy+}",
        "path": plain.path,
        "httpMethod": plain.method,
        "headers": {name: values[-1] for name, values in headers.items()} or None,
        "multiValueHeaders": headers or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": plain.path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": plain.method,
            "path": f"/live{plain.path}",
            "requestId": "front",
            "stage": "live",
            "identity": {"sourceIp": plain.source_ip, "apiKey": None},
        },
        **encoded(plain.body),
    }


def http_api_1(plain: Plain) -> Event:
    return {"version": "1.0", **rest(plain)}


def alb(plain: Plain) -> Event:
    """Single-value mode, which loses repeated headers and parameters."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/x/1"}},
        "httpMethod": plain.method,
        "path": plain.path,
        "queryStringParameters": {quote(name): quote(value) for name, value in plain.query},
        "headers": dict([*lowered(plain.with_cookie_header()), forwarded(plain)]),
        **encoded(plain.body),
    }


def alb_multi(plain: Plain) -> Event:
    event = {name: value for name, value in alb(plain).items() if name not in ("headers", "queryStringParameters")}
    pairs = [(quote(name), quote(value)) for name, value in plain.query]
    headers = grouped([*lowered(plain.with_cookie_header()), forwarded(plain)])
    return {**event, "multiValueQueryStringParameters": grouped(pairs), "multiValueHeaders": headers}


SHAPES: dict[str, Callable[[Plain], Event]] = {
    "furl": furl,
    "http_api": http_api,
    "rest": rest,
    "http_api_1": http_api_1,
    "alb": alb,
    "alb_multi": alb_multi,
}


def forwarded(plain: Plain) -> tuple[str, str]:
    return "x-forwarded-for", f"198.51.100.1, {plain.source_ip}"


def lowered(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in pairs]


def grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups


def encoded(body: bytes) -> Event:
    try:
        return {"body": body.decode("utf-8"), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": b64encode(body).decode("ascii"), "isBase64Encoded": True}


@dataclass(frozen=True)
class Reply:
    """A function's answer to a payload 2.0 event, decoded."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    function: Callable[[Event, Any], Any],
    method: str,
    path: str,
    *,
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    context: object = None,
) -> Reply:
    """Ask a function as its function URL would."""
    event = furl(Plain(method, path, query, list((headers or {}).items()), body))
    answer = function(event, context)
    sent = answer["body"]
    return Reply(
        answer["statusCode"], answer["headers"], b64decode(sent) if answer["isBase64Encoded"] else sent.encode()
    )


def form(*parts: tuple[str, bytes], boundary: str = "frontier") -> tuple[dict[str, str], bytes]:
    """The headers and the body of a multipart form; a part is what follows `form-data; ` and its content."""
    lines = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    ]
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return headers, b"".join(lines) + f"--{boundary}--\r\n".encode()
