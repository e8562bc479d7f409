"""What a function returned, as an HTTP response."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
# Of one connection only, or computed anew from the body.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)


class MalformedResponse(Exception):
    """The result is no response; the gateway answers 502. The text says what is wrong."""


@dataclass(frozen=True)
class HttpResponse:
    """Header names in lower case; cookies are separate `set-cookie` values."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    body: bytes = b""


def decode_response(payload: bytes, *, default_type: str = "application/json") -> HttpResponse:
    """The response in a function's result, by Lambda's rules: no `statusCode` makes it a JSON body with status 200.

    Raises MalformedResponse.
    """
    try:
        result = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise MalformedResponse("the result is no JSON") from exc
    if not isinstance(result, dict) or "statusCode" not in result:
        body = _encoded(result) if isinstance(result, str) else payload
        return HttpResponse(200, (("content-type", "application/json"),), (), body)
    headers = _headers(result)
    body = _body(result)
    if body and not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", default_type))
    return HttpResponse(_status(result["statusCode"]), tuple(headers), tuple(_cookies(result)), body)


def _status(value: Any) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise MalformedResponse("statusCode is no number from 200 to 599")
    return value


def _headers(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Single values, replaced by REST's `multiValueHeaders` of the same name."""
    single, multi = _mapping(result, "headers"), _mapping(result, "multiValueHeaders")
    replaced = {name.lower() for name in multi}
    pairs = [(name.lower(), value) for name, value in single.items() if name.lower() not in replaced]
    for name, values in multi.items():
        if not isinstance(values, list):
            raise MalformedResponse("multiValueHeaders holds something else than lists")
        pairs += [(name.lower(), value) for value in values]
    return [(name, _value(name, value)) for name, value in pairs if name not in _HOP_BY_HOP and value is not None]


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


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
