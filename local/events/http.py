"""HTTP requests as events: function URL and HTTP API (payload 2.0), REST API (1.0), load balancer (ALB)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

ACCOUNT = "000000000000"
API_ID = "local"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TEXT_TYPES = frozenset({"application/json", "application/javascript", "application/xml"})
_FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came in: path and query percent-encoded, headers in order with lower-case names."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"
    request_id: str = "00000000-0000-0000-0000-000000000000"
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def header(self, name: str, default: str = "") -> str:
        return ",".join(value for key, value in self.headers if key == name) or default


def http_event(
    request: HttpRequest, *, route_key: str | None = None, path_parameters: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Payload 2.0: of a function URL, or of an HTTP API's route with a key like `GET /path/{name}` or `$default`.

    The path stays percent-encoded for both. (An HTTP API of AWS decodes it, which loses `%2F`.)
    """
    account, route_key = ("anonymous", "$default") if route_key is None else (ACCOUNT, route_key)
    headers = _joined((name, value) for name, value in request.headers if name != "cookie")
    cookies = [
        part.strip() for name, value in request.headers if name == "cookie" for part in value.split(";") if part.strip()
    ]
    domain = _domain(request)
    body, is_base64 = _body(request, textual_forms=False)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": account,
            "apiId": API_ID,
            "domainName": domain,
            "domainPrefix": domain.split(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.protocol,
                "sourceIp": request.source_ip,
                "userAgent": request.header("user-agent"),
            },
            "requestId": request.request_id,
            "routeKey": route_key,
            "stage": "$default",
            "time": _clf_time(request.time),
            "timeEpoch": _milliseconds(request.time),
        },
        "isBase64Encoded": is_base64,
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = _joined(_query(request))
    if path_parameters:
        event["pathParameters"] = dict(path_parameters)
    if body:
        event["body"] = body
    return event


def rest_event(
    request: HttpRequest,
    *,
    resource: str | None = None,
    path_parameters: Mapping[str, str] | None = None,
    stage: str | None = None,
) -> dict[str, Any]:
    """Payload 1.0 of a REST API: every value of a name, and null for what is absent.

    Without a resource it is that of an API which takes every path. A stage stands in the path that the context has;
    an API with a domain name of its own shows none.
    """
    if resource is None:
        proxy = request.path.lstrip("/")
        resource, path_parameters = ("/{proxy+}", {"proxy": proxy}) if proxy else ("/", None)
    headers, query = _multi(request.headers), _multi(_query(request))
    body, is_base64 = _body(request, textual_forms=True)
    domain = _domain(request)
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": _last(headers) or None,
        "multiValueHeaders": headers or None,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(path_parameters) if path_parameters else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": domain,
            "domainPrefix": domain.split(".")[0],
            "extendedRequestId": request.request_id,
            "httpMethod": request.method,
            "identity": _identity(request),
            "path": f"/{stage}{request.path}" if stage else request.path,
            "protocol": request.protocol,
            "requestId": request.request_id,
            "requestTime": _clf_time(request.time),
            "requestTimeEpoch": _milliseconds(request.time),
            "resourceId": "local",
            "resourcePath": resource,
            "stage": stage or "local",
        },
        "body": body or None,
        "isBase64Encoded": is_base64,
    }


def alb_event(request: HttpRequest, *, multi_value: bool = False) -> dict[str, Any]:
    """A load balancer's event. `multi_value` is the target group's attribute: it replaces the single-value maps.

    Query values are not decoded, and an empty body is an empty text.
    """
    headers = _multi(request.headers)
    query = _multi(pair.partition("=")[::2] for pair in request.query.split("&") if pair)
    body, is_base64 = _body(request, textual_forms=False)
    event: dict[str, Any] = {
        "requestContext": {
            "elb": {"targetGroupArn": f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:targetgroup/local/0"}
        },
        "httpMethod": request.method,
        "path": request.path,
    }
    if multi_value:
        event |= {"multiValueQueryStringParameters": query, "multiValueHeaders": headers}
    else:
        event |= {"queryStringParameters": _last(query), "headers": _last(headers)}
    return event | {"body": body, "isBase64Encoded": is_base64}


def _body(request: HttpRequest, *, textual_forms: bool) -> tuple[str, bool]:
    """The body, base64 unless its type is textual and it is UTF-8 (a compressed one is neither)."""
    content_type = request.header("content-type").partition(";")[0].strip().lower()
    textual = (
        content_type.startswith("text/")
        or content_type in _TEXT_TYPES
        or content_type.endswith(("+json", "+xml"))
        or (textual_forms and content_type == _FORM_TYPE)
    )
    if not request.body:
        return "", False
    if textual and not request.header("content-encoding"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), True


def _query(request: HttpRequest) -> list[tuple[str, str]]:
    return parse_qsl(request.query, keep_blank_values=True, encoding="utf-8", errors="replace")


def _joined(pairs: Any) -> dict[str, str]:
    return {name: ",".join(values) for name, values in _multi(pairs).items()}


def _multi(pairs: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _last(values: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: many[-1] for name, many in values.items()}


def _identity(request: HttpRequest) -> dict[str, str | None]:
    names = (
        "accessKey accountId apiKey caller cognitoAuthenticationProvider cognitoAuthenticationType"
        " cognitoIdentityId cognitoIdentityPoolId principalOrgId user userArn"
    )
    absent: dict[str, str | None] = dict.fromkeys(names.split())
    return {**absent, "sourceIp": request.source_ip, "userAgent": request.header("user-agent") or None}


def _domain(request: HttpRequest) -> str:
    host = request.header("host", "localhost")
    return host.rsplit(":", 1)[0] if not host.endswith("]") else host


def _clf_time(time: datetime) -> str:
    month = _MONTHS[time.astimezone(UTC).month - 1]
    return f"{time.astimezone(UTC):%d}/{month}/{time.astimezone(UTC):%Y:%H:%M:%S} +0000"


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
