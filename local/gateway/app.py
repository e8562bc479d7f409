"""HTTP in front of the functions: one API, a URL for each function, and what AWS answers when a function cannot.

An ASGI application without sockets. A function's own address is `http://create-task.localhost:PORT/` and, for clients
that do not resolve such names, `http://localhost:PORT/fn/create_task/`.
"""

import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from local.events import HttpResponse, MalformedResponse, decode_response, http_event, rest_event
from local.gateway import cors
from local.gateway.incoming import LOOPBACK_NAMES, BodyTooLarge, Disconnected, Incoming, Receive, Scope, Send
from local.gateway.replies import Answered, json_response, method_not_allowed, problem, retry_after, send_response
from local.gateway.routes import RouteTable
from local.invoker import EventTooLarge, Invocation, Limits, new_trace
from local.sandbox import faults
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Refused, Throttled
from local.template import Template
from local.template.spec import Cors, FunctionSpec, Route

HEADER_LIMIT = 32 * 1024
# Errors of a deployment rather than of a request: their text tells the developer what to mend.
_DEPLOYMENT_ERRORS = ("Runtime.ImportModuleError", "Runtime.UserCodeSyntaxError", "Runtime.HandlerNotFound")

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Invokes(Protocol):
    """What the gateway needs of an invoker."""

    limits: Limits

    async def invoke(
        self, name: str, event: Mapping[str, Any] | bytes, *, request_id: str | None = None, trace: str | None = None
    ) -> Invocation:
        raise NotImplementedError

    def sandboxes(self) -> dict[str, dict[str, int]]:
        raise NotImplementedError


@dataclass(frozen=True)
class RequestLine:
    """What there is to say of one request on one line."""

    method: str
    path: str
    status: int
    duration_ms: float
    function: str | None
    request_id: str
    cold: bool = False


@dataclass(frozen=True)
class _Target:
    """The function that a request is for: through a route, or (None) through its own URL."""

    function: str
    path: str
    cors: Cors | None
    route: Route | None = None
    parameters: Mapping[str, str] | None = None


def create_app(
    template: Template,
    invoker: Invokes,
    *,
    hosts: Iterable[str] = (),
    on_request: Callable[[RequestLine], None] | None = None,
) -> Application:
    """The gateway. `hosts` are names it answers to besides localhost and *.localhost."""
    return _Gateway(template, invoker, frozenset(map(str.lower, hosts)) | LOOPBACK_NAMES, on_request)


class _Gateway:
    def __init__(
        self,
        template: Template,
        invoker: Invokes,
        hosts: frozenset[str],
        on_request: Callable[[RequestLine], None] | None,
    ) -> None:
        self._template, self._invoker, self._hosts = template, invoker, hosts
        self._routes = RouteTable(template.routes)
        self._by_host = {spec.host: spec for spec in template.functions.values()}
        self._on_request = on_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(Incoming(scope, receive), send)
        elif scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, incoming: Incoming, send: Send) -> None:
        started, request_id = time.perf_counter(), str(uuid.uuid4())
        target: _Target | None = None
        invocation: Invocation | None = None
        try:
            target = self._target(incoming)
            invocation = await self._invoke(incoming, target, request_id)
            response = _decoded(invocation, target)
        except Answered as answer:
            response = answer.in_the_form_for(incoming, request_id)
        except Disconnected:
            return
        if target:
            response = cors.with_origin(response, target.cors, incoming.headers.get("origin", ""))
        if not any(name == "x-request-id" for name, _ in response.headers):
            response = replace(response, headers=(*response.headers, ("x-request-id", request_id)))
        await send_response(incoming, response, send)
        if self._on_request:
            duration_ms = (time.perf_counter() - started) * 1000
            cold = bool(invocation and invocation.report.init_ms is not None)
            function = target.function if target else None
            line = RequestLine(incoming.method, incoming.path, response.status, duration_ms, function, request_id, cold)
            self._on_request(line)

    def _target(self, incoming: Incoming) -> _Target:
        """Whom the request is for. Raises Answered: refusals, preflights and the manifest are the gateway's own."""
        host = incoming.host
        if host is None:
            raise problem(400, "Bad Request", "The request needs exactly one Host header.", "HOST_INVALID")
        if sum(len(name) + len(value) for name, value in incoming.header_list) > HEADER_LIMIT:
            detail = f"The headers are longer than {HEADER_LIMIT} bytes."
            raise problem(431, "Request Header Fields Too Large", detail, "HEADERS_TOO_LARGE")
        label, _, domain = host.rpartition(".")
        if domain == "localhost" and label and host not in self._hosts:
            return self._url(incoming, self._by_host.get(label), label, incoming.path)
        if host not in self._hosts:
            detail = f"Host {host[:100]!r} is not served here, only localhost and the names the operator has allowed."
            raise problem(421, "Misdirected Request", detail, "HOST_UNKNOWN")
        if incoming.path.startswith("/fn/"):
            name, slash, rest = incoming.path.removeprefix("/fn/").partition("/")
            return self._url(incoming, self._template.functions.get(name), name, slash + rest or "/")
        if incoming.path == "/_local/functions" and incoming.is_local:
            raise Answered(json_response(200, {"functions": list(map(self._described, self._specs()))}))
        return self._routed(incoming)

    def _url(self, incoming: Incoming, spec: FunctionSpec | None, name: str, path: str) -> _Target:
        if spec is None or spec.url is None:
            known = ", ".join(spec.name for spec in self._specs() if spec.url)
            detail = f"There is no function URL {name[:100]}; functions with a URL: {known}."
            raise problem(404, "Not Found", detail, "FUNCTION_NOT_FOUND")
        if spec.url.cors and cors.is_preflight(incoming.method, incoming.headers):
            raise Answered(cors.preflight(spec.url.cors, incoming.headers))
        if spec.url.auth_type != "NONE":
            detail = f"The URL of {spec.name} takes signed requests only (AWS_IAM); signatures are not checked here."
            raise problem(403, "Forbidden", detail, "SIGNATURE_REQUIRED")
        return _Target(spec.name, path, spec.url.cors)

    def _routed(self, incoming: Incoming) -> _Target:
        match = self._routes.match(incoming.method, incoming.path)
        if match is None:
            raise problem(404, "Not Found", "Not Found", "NOT_FOUND")
        if match.route:
            return _Target(match.route.function, incoming.path, match.cors, match.route, match.parameters)
        if incoming.method == "OPTIONS" and match.cors:
            raise Answered(cors.preflight(match.cors, incoming.headers))
        refused = method_not_allowed(match.allowed)
        refused.response = cors.with_origin(refused.response, match.cors, incoming.headers.get("origin", ""))
        raise refused

    async def _invoke(self, incoming: Incoming, target: _Target, request_id: str) -> Invocation:
        limit, trace = self._invoker.limits.request_body, incoming.headers.get("x-amzn-trace-id") or new_trace()
        try:
            body = await incoming.body(limit)
            request = incoming.request(target.path, body, request_id=request_id, trace=trace)
            if target.route is None:
                event = http_event(request)
            elif target.route.kind == "http":
                event = http_event(request, route_key=target.route.key, path_parameters=target.parameters)
            else:
                event = rest_event(request, resource=target.route.path, path_parameters=target.parameters)
            return await self._invoker.invoke(target.function, event, request_id=request_id, trace=trace)
        except (BodyTooLarge, EventTooLarge) as exc:
            detail = f"The request body is larger than the {limit} bytes a function takes.{self._way_around()}"
            raise problem(413, "Request Too Long", detail, "BODY_TOO_LARGE") from exc
        except Throttled as exc:
            raise problem(
                429, "Rate Exceeded.", str(exc), "TOO_MANY_REQUESTS", headers=retry_after(exc.retry_after)
            ) from exc
        except Refused as exc:
            raise problem(503, "Service Unavailable", str(exc), "BUSY", headers=retry_after(exc.retry_after)) from exc
        except LaunchFailed as exc:
            raise problem(503, "Service Unavailable", str(exc), "NO_SANDBOX", headers=retry_after(5)) from exc

    def _way_around(self) -> str:
        """Where the payload limit of functions does not reach, if this API has such a place."""
        has_uploads = any(route.method == "POST" and route.path.endswith("/uploads") for route in self._template.routes)
        return " A file goes straight to the storage by POST /uploads." if has_uploads else ""

    def _specs(self) -> Iterable[FunctionSpec]:
        return self._template.functions.values()

    def _described(self, spec: FunctionSpec) -> dict[str, Any]:
        return {
            "name": spec.name,
            "url": f"/fn/{spec.name}/" if spec.url else None,
            "host": f"{spec.host}.localhost" if spec.url else None,
            "routes": [{"method": route.method, "path": route.path} for route in spec.routes],
            "queues": [queue.queue for queue in spec.queues],
            "schedules": [schedule.expression for schedule in spec.schedules],
            "timeout": spec.timeout,
            "memory": spec.memory,
            "sandboxes": self._invoker.sandboxes().get(spec.name, {"idle": 0, "sandboxes": 0}),
        }


def _decoded(invocation: Invocation, target: _Target) -> HttpResponse:
    """The function's response, or the 502 that AWS gives in its place (a timeout is one too)."""
    if invocation.function_error:
        kind = faults.error_type(invocation.payload)
        code = "FUNCTION_TIMEOUT" if kind == "Sandbox.Timedout" else "FUNCTION_ERROR"
        detail = f"Function {invocation.function} failed ({kind}); its log says more."
        if kind in _DEPLOYMENT_ERRORS:
            detail += f" {json.loads(invocation.payload)['errorMessage']}"
        raise problem(502, "Internal Server Error", detail, code)
    text_type = "text/plain; charset=utf-8" if target.route and target.route.kind == "http" else "application/json"
    try:
        return decode_response(invocation.payload, default_type=text_type)
    except MalformedResponse as exc:
        detail = f"Function {invocation.function} returned no response: {exc}."
        raise problem(502, "Internal Server Error", detail, "RESPONSE_MALFORMED") from exc
