"""HTTP events of every shape as one Request, and a Response as the answer each shape wants.

Shapes: function URL and HTTP API (payload 2.0), REST API (1.0), Application Load Balancer.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import unquote_plus

from facet.http import Event, Headers, Request, Response, grouped, query_from

Shape = Literal["alb", "furl", "rest"]


def shape(event: Event) -> Shape | None:
    """Which HTTP shape an event has, or None when it is no HTTP event."""
    context = event.get("requestContext")
    if not isinstance(context, Mapping):
        return None
    if "elb" in context:
        return "alb"
    if event.get("version") == "2.0" and "http" in context:
        return "furl"
    return "rest" if "httpMethod" in event or "resourcePath" in context else None


def request_from(event: Event) -> Request:
    """The request an HTTP event carries. Raises ValueError for an event of another kind or a broken body."""
    match shape(event):
        case "furl":
            return _from_furl(event)
        case "rest":
            return _from_rest(event)
        case "alb":
            return _from_alb(event)
        case None:
            raise ValueError("this is no HTTP event: it needs requestContext, and httpMethod or version 2.0")


def _from_furl(event: Event) -> Request:
    context = event["requestContext"]
    path, stage = event["rawPath"], context.get("stage", "$default")
    if stage != "$default" and path.startswith(f"/{stage}/"):
        path = path.removeprefix(f"/{stage}")
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    return Request(
        method=context["http"]["method"].upper(),
        path=path,
        query=query_from(event.get("rawQueryString") or ""),
        headers=Headers(headers.items()),
        body=_body(event),
        source_ip=context["http"].get("sourceIp") or "",
        request_id=context.get("requestId") or "",
        event=event,
    )


def _from_rest(event: Event) -> Request:
    context = event["requestContext"]
    return Request(
        method=(event.get("httpMethod") or context["httpMethod"]).upper(),
        path=event.get("path") or context["path"],
        query=grouped(_pairs(event, "multiValueQueryStringParameters", "queryStringParameters")),
        headers=Headers(_pairs(event, "multiValueHeaders", "headers")),
        body=_body(event),
        source_ip=(context.get("identity") or {}).get("sourceIp") or "",
        request_id=context.get("requestId") or "",
        event=event,
    )


def _from_alb(event: Event) -> Request:
    headers = Headers(_pairs(event, "multiValueHeaders", "headers"))
    encoded = _pairs(event, "multiValueQueryStringParameters", "queryStringParameters")
    return Request(
        method=event["httpMethod"].upper(),
        path=event["path"],
        query=grouped((unquote_plus(name), unquote_plus(value)) for name, value in encoded),
        headers=headers,
        body=_body(event),
        # The balancer appends the address it saw; what stands before it is the client's word.
        source_ip=headers.get("x-forwarded-for", "").rpartition(",")[2].strip(),
        event=event,
    )


def _pairs(event: Event, many: str, single: str) -> list[tuple[str, str]]:
    if event.get(many):
        return [(name, value) for name, values in event[many].items() for value in values]
    return list((event.get(single) or {}).items())


def _body(event: Event) -> bytes:
    body = event.get("body") or b""
    if isinstance(body, bytes):
        return body
    if event.get("isBase64Encoded"):
        return b64decode(body, validate=True)
    return str(body).encode("utf-8", "surrogatepass")


def scheduled_at(event: Event) -> datetime | None:
    """When a schedule's event was due: EventBridge's, or a CloudEvent such as Knative's PingSource sends.

    A CloudEvent may leave its time out, and whoever reaches the function can send one: it is now at the latest. None
    when the event is no schedule's.
    """
    if "detail-type" in event:
        return datetime.fromisoformat(event["time"]).astimezone(UTC)
    if "specversion" in event:
        now = datetime.now(UTC)
        return min(now, datetime.fromisoformat(event["time"]).astimezone(UTC)) if event.get("time") else now
    return None


def rest_event(request: Request, resource: str) -> dict[str, Any]:
    """The REST (1.0) event Chalice reads. The body stays bytes, which Chalice takes as they are."""
    query: dict[str, list[str]] = {}
    for name, value in request.query:
        query.setdefault(name, []).append(value)
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {"accept": "*/*", **request.headers},  # absent means any; Chalice refuses binary answers then
        "multiValueHeaders": None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": request.method,
            "path": request.path,
            "requestId": request.request_id,
            "identity": {"sourceIp": request.source_ip},
        },
        "body": request.body,
        "isBase64Encoded": False,
    }


def reply_to(event: Event, response: Response) -> dict[str, Any]:
    """The answer in the shape of the event it answers."""
    reply: dict[str, Any] = {"statusCode": response.status, **_body_of(response)}
    match shape(event):
        case "furl":
            reply["headers"] = dict(Headers(response.headers))
            if response.cookies:
                reply["cookies"] = list(response.cookies)
        case "alb":
            reply["statusDescription"] = f"{response.status} {HTTPStatus(response.status).phrase}"
            if event.get("multiValueHeaders") is not None:
                reply["multiValueHeaders"] = _lists(response)
            else:
                if len(response.cookies) > 1:
                    raise ValueError("several cookies need the target group's multi-value headers")
                reply["headers"] = {name: ",".join(values) for name, values in _lists(response).items()}
        case _:
            lists = _lists(response)
            reply["headers"] = {name: values[0] for name, values in lists.items() if len(values) == 1}
            reply["multiValueHeaders"] = {name: values for name, values in lists.items() if len(values) > 1}
    return reply


def _body_of(response: Response) -> dict[str, Any]:
    if isinstance(response.body, str):
        return {"body": response.body, "isBase64Encoded": False}
    return {"body": b64encode(response.body).decode("ascii"), "isBase64Encoded": True}


def _lists(response: Response) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, value in response.fields:
        lists.setdefault(name.lower(), []).append(value)
    return lists
