"""What a function returned, as an HTTP response."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Never

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
# Of one connection only: they reach neither the function nor its client.
HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_DEFAULT_TYPES = {"http": "text/plain; charset=utf-8", "alb": "application/octet-stream"}
_REST_KEYS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})


Shape = Literal["furl", "http", "rest", "alb", "alb-multi"]
"""What calls a function: its URL, an HTTP API, a REST API, a load balancer (with single or multiple header values)."""


class MalformedResponse(Exception):
    """The result is no response; the gateway answers 502. The text says what is wrong."""


@dataclass(frozen=True)
class HttpResponse:
    """Header names in lower case; cookies are separate `set-cookie` values."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    body: bytes = b""


def decode_response(payload: bytes, shape: Shape = "furl") -> HttpResponse:
    """The response in a function's result, by the rules of what called it.

    Payload 2.0 takes any JSON (without `statusCode` it is the body of a 200) and lists `cookies`. A REST API refuses
    keys it does not know, and merges `multiValueHeaders` with `headers`. A load balancer reads the one or the other.
    Bodies in base64 are decoded for all of them, as if a REST API had the binary media type `*/*`.

    Raises MalformedResponse.
    """
    try:
        result = json.loads(payload, parse_constant=no_constant)
    except (ValueError, RecursionError) as exc:
        raise MalformedResponse("the result is no JSON") from exc
    if not isinstance(result, dict) or "statusCode" not in result:
        if shape not in ("furl", "http"):
            raise MalformedResponse("the result has no statusCode")
        body = _encoded(result) if isinstance(result, str) else payload
        return HttpResponse(200, (("content-type", "application/json"),), (), body)
    if shape == "rest" and (unknown := ", ".join(sorted(result.keys() - _REST_KEYS))):
        raise MalformedResponse(f"a REST API takes no {unknown}")
    status, headers, body = _status(result["statusCode"]), _headers(result, shape), _body(result)
    body = b"" if status in (204, 304) else body
    cookies = [value for name, value in headers if name == "set-cookie"]
    cookies += _cookies(result) if shape in ("furl", "http") else []
    kept = [item for item in headers if item[0] != "set-cookie"]
    if body and not any(name == "content-type" for name, _ in kept):
        kept.append(("content-type", _DEFAULT_TYPES.get(shape.partition("-")[0], "application/json")))
    return HttpResponse(status, tuple(kept), tuple(cookies), body)


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise MalformedResponse("statusCode is no number from 200 to 599")
    return value


def _headers(result: Mapping[str, Any], shape: Shape) -> list[tuple[str, str]]:
    single = _mapping(result, "headers") if shape != "alb-multi" else {}
    multi = _mapping(result, "multiValueHeaders") if shape in ("rest", "alb-multi") else {}
    pairs = []
    for name, values in multi.items():
        if not isinstance(values, list):
            raise MalformedResponse("multiValueHeaders holds something else than lists")
        pairs += [(name.lower(), value) for value in values]
    pairs += [item for name, value in single.items() if (item := (name.lower(), value)) not in pairs]
    return [(name, _value(name, value)) for name, value in pairs if name not in HOP_BY_HOP and value is not None]


def _mapping(result: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = result.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedResponse(f"{key} is no mapping")
    return value


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, (dict, list)):
        raise MalformedResponse(f"header {name} is no text")
    text = str(value).strip()
    _encoded(text)
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
        raise MalformedResponse(f"header {name!r} has characters no header may have")
    return text


def _cookies(result: Mapping[str, Any]) -> list[str]:
    cookies = result.get("cookies") or []
    if not isinstance(cookies, list) or not all(isinstance(cookie, str) for cookie in cookies):
        raise MalformedResponse("cookies is no list of texts")
    return [_value("set-cookie", cookie) for cookie in cookies]


def _body(result: Mapping[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponse("body is no text")
    if not result.get("isBase64Encoded"):
        return _encoded(body)
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as exc:
        raise MalformedResponse("body is no base64") from exc


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise MalformedResponse("the result has half a character (a lone surrogate)") from exc


def no_constant(name: str) -> Never:
    """Python reads NaN and Infinity, which are no JSON. Raises ValueError."""
    raise ValueError(f"{name} is no JSON")
