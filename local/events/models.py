"""Events as their sources send them, field by field: what `facet event check` compares a file with."""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, ValidationInfo, field_validator


def _like(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.DOTALL):
            raise ValueError(f"not {what}")
        return text

    return AfterValidator(check)


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    return text


def _time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not a time like 2026-01-31T12:00:00Z") from None
    return text


def _header(value: Any) -> Any:
    """A header of a message as Java's client has it."""
    match value:
        case str():
            raise ValueError('not {"bytes": […]}, as which a text is sent')
        case {"bytes": numbers} if len(value) == 1:
            if not isinstance(numbers, list) or not all(type(n) is int and -128 <= n <= 255 for n in numbers):
                raise ValueError("bytes is not a list of numbers from 0 to 255")
        case dict() | list():
            for item in value.values() if isinstance(value, dict) else value:
                _header(item)
    return value


Base64 = Annotated[str, AfterValidator(_base64)]
Filled = Annotated[str, _like(r".+", "filled")]
Method = Annotated[str, _like(r"[A-Z-]+", "a method in capitals")]
Path = Annotated[str, _like(r"/.*", "a path that begins with /")]
Query = Annotated[str, _like(r"[^?].*|", "a query without its ?")]
Texts = dict[str, str]
Lists = dict[str, list[str]]


class Part(BaseModel):
    """Of an event; sources may add what is not listed."""

    model_config = ConfigDict(strict=True, extra="allow")


class Event(Part):
    title: ClassVar[str]


class HttpEvent(Event):
    isBase64Encoded: bool
    body: str | None = None

    @field_validator("body")
    @classmethod
    def _encoded(cls, body: str | None, info: ValidationInfo) -> str | None:
        return _base64(body) if body and info.data.get("isBase64Encoded") else body


class Http(Part):
    method: Method
    path: Path
    protocol: str
    sourceIp: str
    userAgent: str | None = None


class UrlContext(Part):
    accountId: str
    apiId: str
    domainName: str
    domainPrefix: str
    http: Http
    requestId: str
    routeKey: str
    stage: str
    time: str
    timeEpoch: StrictInt


class UrlEvent(HttpEvent):
    title = "a function URL (payload 2.0)"
    version: Literal["2.0"]
    routeKey: str
    rawPath: Path
    rawQueryString: Query
    headers: Texts
    requestContext: UrlContext
    cookies: list[str] | None = None
    queryStringParameters: Texts | None = None
    pathParameters: Texts | None = None
    stageVariables: Texts | None = None


class HttpApiEvent(UrlEvent):
    title = "an HTTP API (payload 2.0)"


class Identity(Part):
    sourceIp: str
    userAgent: str | None = None


class RestContext(Part):
    accountId: str
    apiId: str
    httpMethod: Method
    identity: Identity
    path: Path
    protocol: str
    requestId: str
    requestTimeEpoch: StrictInt
    resourceId: str | None
    resourcePath: str
    stage: str


class RestEvent(HttpEvent):
    title = "a REST API (payload 1.0)"
    resource: str
    path: Path
    httpMethod: Method
    headers: Texts | None
    multiValueHeaders: Lists | None
    queryStringParameters: Texts | None
    multiValueQueryStringParameters: Lists | None
    pathParameters: Texts | None
    stageVariables: Texts | None
    requestContext: RestContext


class Elb(Part):
    targetGroupArn: Annotated[str, _like(r"arn:aws[\w-]*:elasticloadbalancing:.*", "the ARN of a target group")]


class AlbContext(Part):
    elb: Elb


class BalancerEvent(HttpEvent):
    requestContext: AlbContext
    httpMethod: Method
    path: Path
    body: str


class AlbEvent(BalancerEvent):
    title = "a load balancer (ALB)"
    headers: Texts
    queryStringParameters: Texts


class AlbMultiEvent(BalancerEvent):
    title = "a load balancer (ALB) with multi-value headers"
    multiValueHeaders: Lists
    multiValueQueryStringParameters: Lists


class RmqProperties(Part):
    contentType: str | None
    contentEncoding: str | None
    headers: dict[str, Annotated[Any, AfterValidator(_header)]] | None
    deliveryMode: StrictInt | None
    priority: StrictInt | None
    correlationId: str | None
    replyTo: str | None
    expiration: str | None
    messageId: str | None
    timestamp: (
        Annotated[
            str,
            _like(r"[A-Z][a-z]{2} \d{1,2}, \d{4},? \d{1,2}:\d\d:\d\d[ \u202f][AP]M", "like Jan 1, 1970, 12:33:41 AM"),
        ]
        | None
    )
    type: str | None
    userId: str | None
    appId: str | None
    clusterId: str | None
    bodySize: StrictInt


class RmqRecord(Part):
    basicProperties: RmqProperties
    redelivered: bool
    data: Base64


class RmqEvent(Event):
    title = "a RabbitMQ event source mapping (aws:rmq)"
    eventSource: Literal["aws:rmq"]
    eventSourceArn: Annotated[str, _like(r"arn:aws[\w-]*:mq:.*", "the ARN of a broker")]
    rmqMessagesByQueue: Annotated[
        dict[Annotated[str, _like(".+::.+", "QUEUE::VHOST")], Annotated[list[RmqRecord], Field(min_length=1)]],
        Field(min_length=1),
    ]


class ScheduleEvent(Event):
    title = "a schedule (EventBridge)"
    version: Literal["0"] = "0"
    id: Filled
    detail_type: Annotated[str, Field(alias="detail-type")]
    source: Filled
    account: str
    time: Annotated[str, AfterValidator(_time)]
    region: str
    resources: list[str]
    detail: Any


class CloudEvent(Event):
    title = "a CloudEvent 1.0"
    specversion: Literal["1.0"]
    id: Filled
    source: Filled
    type: Filled
    time: Annotated[str, AfterValidator(_time)] | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    data: Any = None
    data_base64: Base64 | None = None

    @field_validator("data_base64")
    @classmethod
    def _alone(cls, encoded: str | None, info: ValidationInfo) -> str | None:
        if encoded is not None and info.data.get("data") is not None:
            raise ValueError("not beside data, of which an event has one form")
        return encoded


def model_of(event: Any) -> type[Event] | None:
    """The source that an event is of by what only its events have; None for plain JSON."""
    if not isinstance(event, Mapping):
        return None
    context = event.get("requestContext")
    parts = context if isinstance(context, Mapping) else {}
    if "rmqMessagesByQueue" in event or event.get("eventSource") == "aws:rmq":
        return RmqEvent
    if "elb" in parts:
        return AlbMultiEvent if "multiValueHeaders" in event else AlbEvent
    if "rawPath" in event or "http" in parts or (event.get("version") == "2.0" and "requestContext" in event):
        return UrlEvent if event.get("routeKey", "$default") == "$default" else HttpApiEvent
    if "httpMethod" in event and ("requestContext" in event or "resource" in event):
        return RestEvent
    if "detail-type" in event:
        return ScheduleEvent
    return CloudEvent if "specversion" in event else None
