"""Calling a function for a request: the event its front sends, its answer, and what is said when there is none."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from local import xray
from local.events import HttpResponse, MalformedResponse, Shape, decode_response, event_for
from local.gateway.fronts import FRONTS, Front
from local.gateway.incoming import BodyTooLarge, Incoming
from local.gateway.replies import problem, retry_after
from local.invocation import LIMITS, Invocation, Invokes, Limits
from local.invoker import EventTooLarge
from local.sandbox import faults
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Refused, Throttled
from local.template.spec import Cors

# Errors of a deployment rather than of a request: their text tells the developer what to mend.
_DEPLOYMENT_ERRORS = ("Runtime.ImportModuleError", "Runtime.UserCodeSyntaxError", "Runtime.HandlerNotFound")


class Answering(Invokes, Protocol):
    """What the gateway needs of an invoker. `broken` has the errors that keep functions at their old versions."""

    @property
    def broken(self) -> Mapping[str, str]:
        raise NotImplementedError

    def sandboxes(self) -> dict[str, dict[str, int]]:
        raise NotImplementedError


@dataclass(frozen=True)
class Target:
    """The function that a request is for, through a route or (`$default`) its own URL, and how it is called."""

    function: str
    path: str
    shape: Shape
    cors: Cors | None
    route: str = "$default"
    parameters: Mapping[str, str] | None = None

    @property
    def front(self) -> Front:
        return FRONTS[self.shape]


async def call(
    invoker: Invokes, incoming: Incoming, target: Target, request_id: str, *, way_around: str = ""
) -> Invocation:
    """Read the request and invoke the function with it. Raises Answered and Disconnected."""
    limit, trace = invoker.limits.request_body, incoming.headers.get("x-amzn-trace-id") or xray.new_header()
    front, strict = target.front, invoker.limits == LIMITS["lambda"]
    limit = min(limit, front.carries) if strict and front.carries else limit
    try:
        body = await incoming.body(limit)
        request = incoming.request(target.path, body, request_id=request_id, trace=trace)
        event = event_for(target.shape, request, route=target.route, parameters=target.parameters)
        async with asyncio.timeout(front.patience if strict else None):
            return await invoker.invoke(target.function, event, request_id=request_id, trace=trace, source="http")
    except (BodyTooLarge, EventTooLarge) as exc:
        detail = f"The request body is larger than the {limit} bytes a function takes.{way_around}"
        raise problem(413, "Request Too Long", detail, "BODY_TOO_LARGE") from exc
    except Throttled as exc:
        headers = retry_after(exc.retry_after)
        raise problem(429, "Rate Exceeded.", str(exc), "TOO_MANY_REQUESTS", headers=headers) from exc
    except Refused as exc:
        raise problem(503, "Service Unavailable", str(exc), "BUSY", headers=retry_after(exc.retry_after)) from exc
    except LaunchFailed as exc:
        raise problem(503, "Service Unavailable", str(exc), "NO_SANDBOX", headers=retry_after(5)) from exc
    except TimeoutError as exc:
        detail = f"Nothing waits longer than {front.patience} s for {target.function} here; it runs on by itself."
        raise problem(*front.late, detail, "GATEWAY_TIMEOUT") from exc


def response_of(invocation: Invocation, target: Target, limits: Limits) -> HttpResponse:
    """The function's response, or the 502 in its place (a timeout is one too). Raises Answered."""
    front = target.front
    if invocation.function_error:
        kind = faults.error_type(invocation.payload)
        code = "FUNCTION_TIMEOUT" if kind == "Sandbox.Timedout" else "FUNCTION_ERROR"
        detail = f"Function {invocation.function} failed ({kind}); its log says more."
        if kind in _DEPLOYMENT_ERRORS:
            detail += f" {json.loads(invocation.payload)['errorMessage']}"
        raise problem(502, front.failure, detail, code)
    if limits == LIMITS["lambda"] and front.carries and len(invocation.payload) > front.carries:
        detail = f"Function {invocation.function} returned more than the {front.carries} bytes that go through here."
        raise problem(502, front.failure, detail, "RESPONSE_MALFORMED")
    try:
        return decode_response(invocation.payload, target.shape)
    except MalformedResponse as exc:
        detail = f"Function {invocation.function} returned no response: {exc}."
        raise problem(502, front.failure, detail, "RESPONSE_MALFORMED") from exc
