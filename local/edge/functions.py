"""The Lambda API: invoke the template's functions, and look at them."""

import base64
import binascii
import json
import platform
import re
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from local.asynchronous import Event, EventQueue
from local.edge.errors import AwsError
from local.events.response import HttpResponse
from local.gateway.replies import json_response
from local.invocation import Invokes
from local.invoker import EventTooLarge
from local.sandbox.how import How
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Busy, Refused, Throttled
from local.sandbox.sandbox import ARN
from local.services.objects.request import Request
from local.template import Template
from local.template.spec import FunctionSpec

_LOG_TAIL = 4096
_PAGE = 50
_NAME = re.compile(
    r"(?:(?:arn:[\w-]+:lambda:[\w-]+:)?\d{12}:)?(?:function:)?(?P<name>[\w.-]{1,140})(?::[\w$.-]+)?", re.ASCII
)


class Functions:
    """`gateway` is where function URLs are served, when they are."""

    def __init__(
        self, invoker: Invokes, template: Callable[[], Template], queue: EventQueue, gateway: Callable[[], str | None]
    ) -> None:
        self._invoker, self._template, self._queue, self._gateway = invoker, template, queue, gateway
        operations: list[tuple[str, str, Callable[[Request, bytes, FunctionSpec], Awaitable[HttpResponse]]]] = [
            ("POST", r"/2015-03-31/functions/([^/]+)/invocations", self._invoke),
            ("GET", r"/2015-03-31/functions/([^/]+)", self._function),
            ("GET", r"/2015-03-31/functions/([^/]+)/configuration", self._configuration),
            ("GET", r"/2019-09-30/functions/([^/]+)/concurrency", self._concurrency),
            ("GET", r"/2021-10-31/functions/([^/]+)/url", self._url),
            ("GET", r"/2021-10-31/functions/([^/]+)/urls", self._urls),
        ]
        self._operations = [(method, re.compile(path), operation) for method, path, operation in operations]

    async def answer(self, request: Request, body: bytes) -> HttpResponse:
        """Raises AwsError."""
        if request.method == "GET" and request.path in ("/2015-03-31/functions", "/2015-03-31/functions/"):
            return self._list(request)
        for method, path, operation in self._operations:
            if method == request.method and (match := path.fullmatch(request.path)):
                return await operation(request, body, self._spec(unquote(match[1])))
        raise AwsError(
            501,
            "UnknownOperationException",
            "Of Lambda's API the local cloud serves Invoke, ListFunctions, GetFunction, GetFunctionConfiguration, "
            "GetFunctionConcurrency and function URL configurations; functions are made by template.yaml.",
        )

    def _spec(self, given: str) -> FunctionSpec:
        """The function of a name, with or without its ARN and a qualifier, or of a logical id."""
        template = self._template()
        match = _NAME.fullmatch(given)
        name = match["name"] if match else given
        if spec := template.named(name):
            return spec
        known = ", ".join(sorted(template.functions))
        message = f"Function not found: {ARN.format(name)}. The template has {known}."
        raise AwsError(404, "ResourceNotFoundException", message)

    async def _invoke(self, request: Request, body: bytes, spec: FunctionSpec) -> HttpResponse:
        body, kind = _json(body), request.headers.get("x-amz-invocation-type", "RequestResponse")
        try:
            match kind:
                case "RequestResponse":
                    return await self._invoke_and_wait(request, body, spec)
                case "Event":
                    event = Event(spec.name, body, trace=request.headers.get("x-amzn-trace-id"))
                    if len(body) > self._invoker.limits.event:
                        raise EventTooLarge(f"the event has {len(body)} bytes")
                    self._queue.accept(event)
                    return HttpResponse(202, (("x-amzn-requestid", event.request_id),))
                case "DryRun":
                    return HttpResponse(204)
        except EventTooLarge as exc:
            raise too_large(self._invoker.limits.event) from exc
        except Throttled as exc:
            raise _throttled(exc, exc.reason) from exc
        except Busy as exc:
            raise _throttled(exc, "ConcurrentInvocationLimitExceeded") from exc
        except LaunchFailed as exc:
            raise AwsError(500, "ServiceException", str(exc)) from exc
        raise AwsError(400, "InvalidParameterValueException", f"{kind[:100]!r} is no invocation type.")

    async def _invoke_and_wait(self, request: Request, body: bytes, spec: FunctionSpec) -> HttpResponse:
        done = await self._invoker.invoke(
            spec.name,
            body,
            request_id=str(uuid.uuid4()),
            trace=request.headers.get("x-amzn-trace-id"),
            source="edge",
            how=How(client_context=_client_context(request.headers.get("x-amz-client-context"))),
        )
        headers = [
            ("content-type", "application/json"),
            ("x-amzn-requestid", done.request_id),
            ("x-amzn-trace-id", done.trace),
            ("x-amz-executed-version", "$LATEST"),
        ]
        if done.function_error:
            headers.append(("x-amz-function-error", done.function_error))
        if request.headers.get("x-amz-log-type") == "Tail":
            headers.append(("x-amz-log-result", base64.b64encode(done.log.encode()[-_LOG_TAIL:]).decode()))
        return HttpResponse(200, tuple(headers), (), done.payload)

    def _list(self, request: Request) -> HttpResponse:
        marker, wanted = request.query.get("Marker", ""), request.query.get("MaxItems", str(_PAGE))
        if not re.fullmatch("[1-9][0-9]{0,4}", wanted, re.ASCII):
            raise AwsError(400, "InvalidParameterValueException", "MaxItems is a number from 1 to 10000.")
        specs = sorted(self._template().functions.values(), key=lambda spec: spec.name)
        left = [spec for spec in specs if spec.name > marker]
        page = left[: min(int(wanted), _PAGE)]
        return _answer(
            {"Functions": [_described(spec) for spec in page]},
            NextMarker=page[-1].name if len(page) < len(left) else None,
        )

    async def _function(self, request: Request, body: bytes, spec: FunctionSpec) -> HttpResponse:
        reserved = spec.reserved_concurrency
        concurrency = None if reserved is None else {"ReservedConcurrentExecutions": reserved}
        code = {"RepositoryType": "Local", "Location": spec.code.as_uri()}
        return _answer({"Configuration": _described(spec), "Code": code, "Tags": {}}, Concurrency=concurrency)

    async def _configuration(self, request: Request, body: bytes, spec: FunctionSpec) -> HttpResponse:
        return _answer(_described(spec))

    async def _concurrency(self, request: Request, body: bytes, spec: FunctionSpec) -> HttpResponse:
        return _answer({}, ReservedConcurrentExecutions=spec.reserved_concurrency)

    async def _url(self, request: Request, body: bytes, spec: FunctionSpec) -> HttpResponse:
        if found := self._url_of(spec):
            return _answer(found)
        raise AwsError(404, "ResourceNotFoundException", f"{spec.name} has no function URL here.")

    async def _urls(self, request: Request, body: bytes, spec: FunctionSpec) -> HttpResponse:
        found = self._url_of(spec)
        return _answer({"FunctionUrlConfigs": [found] if found else []})

    def _url_of(self, spec: FunctionSpec) -> dict[str, Any] | None:
        gateway = self._gateway()
        if spec.url is None or gateway is None:
            return None
        return {
            "FunctionUrl": f"{gateway}/fn/{spec.name}/",
            "FunctionArn": ARN.format(spec.alias or spec.name),
            "AuthType": spec.url.auth_type,
            "InvokeMode": "BUFFERED",
            "CreationTime": _modified(spec),
            "LastModifiedTime": _modified(spec),
        }


def too_large(limit: int) -> AwsError:
    message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
    return AwsError(413, "RequestEntityTooLargeException", message)


def _throttled(cause: Refused, reason: str) -> AwsError:
    message = f"Rate Exceeded: {cause}"
    return AwsError(429, "TooManyRequestsException", message, retry_after=cause.retry_after, Reason=reason)


def _json(body: bytes) -> bytes:
    """The event; nothing is an empty one."""
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError) as exc:
        message = f"Could not parse request body into json: {exc}"
        raise AwsError(400, "InvalidRequestContentException", message) from exc
    return body or b"{}"


def _client_context(encoded: str | None) -> str | None:
    if encoded is None:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
        json.loads(text)
    except (binascii.Error, ValueError, RecursionError) as exc:
        message = "Client context must be a valid Base64-encoded JSON object."
        raise AwsError(400, "InvalidRequestContentException", message) from exc
    return text


def _described(spec: FunctionSpec) -> dict[str, Any]:
    """A function's configuration. The values of its environment hold passwords, so they are not given out."""
    return {
        "FunctionName": spec.alias or spec.name,
        "FunctionArn": ARN.format(spec.alias or spec.name),
        "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Handler": spec.handler,
        "Description": spec.logical_id,
        "Timeout": int(spec.timeout),
        "MemorySize": spec.memory,
        "LastModified": _modified(spec),
        "CodeSize": 0,
        "Version": "$LATEST",
        "PackageType": "Zip",
        "Architectures": ["arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"],
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }


def _modified(spec: FunctionSpec) -> str:
    return datetime.fromtimestamp(spec.code.stat().st_mtime, UTC).isoformat(timespec="milliseconds")


def _answer(body: dict[str, Any], **optional: Any) -> HttpResponse:
    return json_response(200, body | {name: value for name, value in optional.items() if value is not None})
