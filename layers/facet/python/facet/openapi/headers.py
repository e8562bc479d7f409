"""The headers of answers: what each means, and which an endpoint's declaration implies."""

from collections.abc import Iterable, Mapping
from typing import Any

from facet.endpoint import Endpoint
from facet.limits import RateLimited

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}


def _header(description: str, schema: Schema = _TEXT, example: Any = None) -> Schema:
    header = {"description": description, "schema": schema}
    return header if example is None else {**header, "example": example}


HEADERS: Mapping[str, Schema] = {
    "Allow": _header("The methods that this path takes.", example="GET, HEAD"),
    "Content-Disposition": _header("The name to save the file under.", example='attachment; filename="export.json"'),
    "ETag": _header(
        "The version of what is answered; send it as If-None-Match to be told 304 while it is current.",
        example='W/"7-0"',
    ),
    "Idempotent-Replayed": _header(
        "`true` when the Idempotency-Key was seen before and this is the answer to the first request.",
        {"type": "string", "enum": ["true"]},
        "true",
    ),
    "Link": _header("The next page (RFC 8288); absent on the last.", example='<?cursor=abc>; rel="next"'),
    "Location": _header("Where to find it.", {"type": "string", "format": "uri-reference"}),
    "Preference-Applied": _header("The preference that was honoured (RFC 7240).", example="wait=20"),
    "RateLimit": _header(
        "How many requests are left (r) of a policy, and the seconds (t) until its window ends.",
        example='"create";r=29;t=60',
    ),
    "RateLimit-Policy": _header(
        "How many requests (q) a policy allows within so many seconds (w).", example='"create";q=30;w=60'
    ),
    "Retry-After": _header("Seconds to wait before asking again.", {"type": "integer", "minimum": 0}, 5),
    "WWW-Authenticate": _header("How to authenticate.", example="ApiKey"),
    "X-Request-Id": {
        **_header("Names this request in the logs.", example="5f0c2ee8-6f4b-4f0e-9d8e-2f6f0a8d3b11"),
        "required": True,
    },
}
_CANONICAL = {name.lower(): name for name in HEADERS}
_LIMITS = ("RateLimit", "RateLimit-Policy")
_BY_REQUEST_HEADER = {
    "if-none-match": "ETag",
    "idempotency-key": "Idempotent-Replayed",
    "prefer": "Preference-Applied",
}


def of_success(endpoint: Endpoint, status: int) -> Schema:
    """What the declaration implies, and what it names in `sends`; a 304 says the same of what it leaves out."""
    implied = [name for asked, name in _BY_REQUEST_HEADER.items() if asked in field_names(endpoint.headers)]
    if "cursor" in field_names(endpoint.query):
        implied.append("Link")
    if 300 <= status < 304:
        implied.append("Location")
    if endpoint.limits:
        implied += _LIMITS
    return _references([*implied, *endpoint.sends])


def of_failures(errors: Iterable[Any]) -> Schema:
    """What the classes of these errors send, each of them or some."""
    names: list[str] = []
    for error in errors:
        names += getattr(error, "headers", {})
        if issubclass(error, RateLimited):
            names += _LIMITS
    return _references(names)


def answers_not_modified(endpoint: Endpoint) -> bool:
    return endpoint.method == "GET" and "ETag" in of_success(endpoint, endpoint.status)


def field_names(model: Any) -> set[str]:
    """The names of a model's fields as they are sent, in lower case."""
    fields = model.model_fields if model is not None else {}
    return {(field.alias or name).lower() for name, field in fields.items()}


def _references(names: Iterable[str]) -> Schema:
    canonical = sorted({_CANONICAL[name.lower()] for name in ["X-Request-Id", *names]})
    return {name: {"$ref": f"#/components/headers/{name}"} for name in canonical}
