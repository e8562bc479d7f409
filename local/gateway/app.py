"""HTTP in front of the functions: one API, a URL for each function, and what AWS answers when a function cannot.

An ASGI application without sockets. A function's own address is `http://create-task.localhost:PORT/` and, for clients
that do not resolve such names, `http://localhost:PORT/fn/create_task/`.
"""

import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from local import manifest
from local.events import HttpResponse, Shape
from local.gateway import cors
from local.gateway.call import Answering, Target, call, response_of
from local.gateway.fronts import BALANCER
from local.gateway.incoming import LOOPBACK_NAMES, Disconnected, Incoming, Receive, Scope, Send, is_loopback
from local.gateway.replies import Answered, json_response, not_routed, problem, send_response
from local.gateway.routes import RouteTable
from local.invocation import Invocation
from local.suggestions import there_are
from local.template import Template
from local.template.spec import FunctionSpec

HEADER_LIMIT = 32 * 1024
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


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


def create_app(
    template: Template,
    invoker: Answering,
    *,
    hosts: Iterable[str] = (),
    on_request: Callable[[RequestLine], None] | None = None,
    shape: Shape | None = None,
) -> "Gateway":
    """The gateway. `hosts` are names it answers to besides localhost and *.localhost.

    `shape` is what stands before every function, in place of what the template says.
    """
    return Gateway(template, invoker, frozenset(map(str.lower, hosts)) | LOOPBACK_NAMES, on_request, shape)


class Gateway:
    """The ASGI application."""

    def __init__(
        self,
        template: Template,
        invoker: Answering,
        hosts: frozenset[str],
        on_request: Callable[[RequestLine], None] | None,
        shape: Shape | None,
    ) -> None:
        self._invoker, self._hosts, self._on_request, self._shape = invoker, hosts, on_request, shape
        self.replace(template)

    def replace(self, template: Template) -> None:
        """Follow another template from the next request on."""
        self._template, self._routes = template, RouteTable(template.routes)
        self._by_host = {spec.host: spec for spec in template.functions.values()}

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
        target: Target | None = None
        invocation: Invocation | None = None
        try:
            target = self._target(incoming)
            invocation = await call(self._invoker, incoming, target, request_id, way_around=self._way_around())
            response = response_of(invocation, target, self._invoker.limits)
        except Answered as answer:
            page = target is not None and target.front is BALANCER
            response = answer.in_the_form_for(incoming, request_id, page=page)
        except Disconnected:
            return
        if target:
            response = cors.with_origin(response, target.cors, incoming.headers.get("origin", ""))
        response = replace(response, headers=(*response.headers, *self._added(response, target, request_id)))
        await send_response(incoming, response, send)
        if self._on_request:
            duration_ms = (time.perf_counter() - started) * 1000
            cold = bool(invocation and invocation.report.init_ms is not None)
            function = target.function if target else None
            line = RequestLine(incoming.method, incoming.path, response.status, duration_ms, function, request_id, cold)
            self._on_request(line)

    def _added(self, response: HttpResponse, target: Target | None, request_id: str) -> Iterator[tuple[str, str]]:
        if not any(name == "x-request-id" for name, _ in response.headers):
            yield "x-request-id", request_id
        if target and (error := self._invoker.broken.get(target.function)):
            yield "x-facet-reload-error", " ".join(error.split()).encode("ascii", "backslashreplace").decode()[:1000]

    def _target(self, incoming: Incoming) -> Target:
        """Whom the request is for. Raises Answered: refusals, preflights and the manifest are the gateway's own."""
        host = incoming.host
        if host is None:
            raise problem(400, "Bad Request", "The request needs exactly one Host header.", "HOST_INVALID")
        if incoming.head_size > HEADER_LIMIT:
            detail = f"The address and the headers are longer than {HEADER_LIMIT} bytes."
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
            raise Answered(self._manifest(incoming))
        return self._routed(incoming)

    def _url(self, incoming: Incoming, spec: FunctionSpec | None, name: str, path: str) -> Target:
        if spec is None or spec.url is None:
            known = there_are((spec.name for spec in self._specs() if spec.url), name[:100])
            detail = f"There is no function URL {name[:100]}. {known}"
            raise problem(404, "Not Found", detail, "FUNCTION_NOT_FOUND")
        if spec.url.cors and cors.is_preflight(incoming.method, incoming.headers):
            raise Answered(cors.preflight(spec.url.cors, incoming.headers))
        if spec.url.auth_type != "NONE":
            detail = f"The URL of {spec.name} takes signed requests only (AWS_IAM); signatures are not checked here."
            raise problem(403, "Forbidden", detail, "SIGNATURE_REQUIRED")
        return Target(spec.name, path, self._shape or "furl", spec.url.cors)

    def _routed(self, incoming: Incoming) -> Target:
        match = self._routes.match(incoming.method, incoming.path)
        rest = match.kind == "rest" if match else self._routes.kinds == {"rest"}
        allowed = match.cors if match else self._routes.cors
        route = match.route if match else None
        if allowed and incoming.method == "OPTIONS":
            if rest and (route is None or route.method == "ANY"):
                raise Answered(cors.fixed_preflight(allowed, match.methods if match else ()))
            if not rest and (route is None or cors.is_preflight(incoming.method, incoming.headers)):
                raise Answered(cors.preflight(allowed, incoming.headers))
        if match and route:
            shape = self._shape or route.kind
            return Target(route.function, incoming.path, shape, None if rest else allowed, route.key, match.parameters)
        as_rest = (self._shape or ("rest" if rest else "http")) == "rest"
        refused = not_routed(match.allowed if match else (), as_rest=as_rest)
        if not rest:
            refused.response = cors.with_origin(refused.response, allowed, incoming.headers.get("origin", ""))
        raise refused

    def _way_around(self) -> str:
        """Where the payload limit of functions does not reach, if this API has such a place."""
        has_uploads = any(route.method == "POST" and route.path.endswith("/uploads") for route in self._template.routes)
        return " A file goes straight to the storage by POST /uploads." if has_uploads else ""

    def _specs(self) -> Iterable[FunctionSpec]:
        return self._template.functions.values()

    def _manifest(self, incoming: Incoming) -> HttpResponse:
        """The functions, for tools of this machine; a page may read it that is a local one or named in the template."""
        origin, found = incoming.headers.get("origin", ""), self._invoker.sandboxes()
        gateway = f"http://{incoming.headers['host']}"
        rows = [manifest.row(spec, gateway, found.get(spec.name, manifest.NO_SANDBOXES)) for spec in self._specs()]
        response = json_response(200, {"functions": rows})
        allowed = self._routes.cors
        known = allowed and (origin in allowed.allow_origins or is_loopback(origin))
        return cors.with_origin(response, allowed, origin) if known else response
