"""The edge as an ASGI application: who may ask, and which service is asked."""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from local.asynchronous import EventQueue
from local.edge.errors import AwsError
from local.edge.functions import Functions, too_large
from local.edge.objects import ObjectStore
from local.events.response import HttpResponse
from local.gateway.incoming import LOOPBACK_NAMES, BodyTooLarge, Disconnected, Incoming, Receive, Scope, Send
from local.gateway.replies import send_response
from local.invocation import Invokes
from local.services.objects import signature
from local.services.objects.errors import S3Error
from local.services.objects.keys import Key
from local.services.objects.request import Request, read
from local.template import Template

_SCOPE = re.compile(r"/\d{8}/[\w-]*/([\w-]+)/aws4_request", re.ASCII)
_LAMBDA = re.compile(r"/20\d\d-\d\d-\d\d/(functions|event-source-mappings|account-settings|layers|tags)\b", re.ASCII)
_REFUSALS = {
    "AccessDenied": "MissingAuthenticationTokenException",
    "InvalidAccessKeyId": "UnrecognizedClientException",
    "RequestTimeTooSkewed": "InvalidSignatureException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}
_ADVICE = "Sign with the keys that `facet env` shows; the agents' keys are for S3 alone."
_IDENTITY = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    b"<Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>"
    b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


def create_app(
    invoker: Invokes,
    template: Callable[[], Template],
    *,
    credentials: Mapping[str, str],
    objects_url: str | None,
    queue: EventQueue,
    gateway: Callable[[], str | None] = lambda: None,
    hosts: Iterable[str] = (),
    now: Callable[[], float] = time.time,
) -> "Edge":
    """The edge. `credentials` are secret keys by access key; `hosts` are names it answers to beside local ones."""
    keys = {
        name: Key.model_construct(access_key=name, secret_key=SecretStr(secret)) for name, secret in credentials.items()
    }
    functions = Functions(invoker, template, queue, gateway)
    store = ObjectStore(objects_url) if objects_url else None
    return Edge(functions, store, keys, frozenset(map(str.lower, hosts)), invoker.limits.event, now)


class Edge:
    def __init__(
        self,
        functions: Functions,
        store: ObjectStore | None,
        keys: Mapping[str, Key],
        hosts: frozenset[str],
        limit: int,
        now: Callable[[], float],
    ) -> None:
        self._functions, self._store, self._keys = functions, store, keys
        self._hosts, self._limit, self._now = hosts, limit, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        incoming = Incoming(scope, receive)
        service = _service(incoming)
        try:
            self._require_place(incoming)
            if service == "s3" and self._store:
                await self._store.answer(incoming, send)
                return
            response = await self._answer(incoming, receive, service)
        except Disconnected:
            return
        except AwsError as exc:
            response = exc.response(xml=_is_form(incoming) or service == "s3")
        if not any(name == "x-amzn-requestid" for name, _ in response.headers):
            response = replace(response, headers=(*response.headers, ("x-amzn-requestid", str(uuid.uuid4()))))
        await send_response(incoming, response, send)

    async def aclose(self) -> None:
        """Let go of the connections to the object store."""
        if self._store:
            await self._store.close()

    def _require_place(self, incoming: Incoming) -> None:
        """A web page of another site must not get in, even if it knew how to sign."""
        if not self._is_ours(incoming.host):
            raise AwsError(403, "AccessDeniedException", f"Host {(incoming.host or '')[:100]!r} is not served here.")
        for origin in [value for name, value in incoming.header_list if name == "origin"]:
            if not self._is_ours(_host(origin)):
                raise AwsError(403, "AccessDeniedException", f"Pages of {origin[:100]!r} may not call this.")

    def _is_ours(self, host: str | None) -> bool:
        """Names that browsers take for this machine, LocalStack's name for it, and those the operator has allowed."""
        name = host or ""
        return (
            name in LOOPBACK_NAMES
            or name in self._hosts
            or name.endswith((".localhost", ".localhost.localstack.cloud"))
            or name == "localhost.localstack.cloud"
        )

    async def _answer(self, incoming: Incoming, receive: Receive, service: str) -> HttpResponse:
        try:
            body = await incoming.body(self._limit)
        except BodyTooLarge as exc:
            raise too_large(self._limit) from exc
        request = self._signed(incoming.scope, receive, service, body)
        if service == "lambda":
            return await self._functions.answer(request, body)
        if service == "sts" and b"Action=GetCallerIdentity" in body.split(b"&"):
            return HttpResponse(200, (("content-type", "text/xml"),), (), _IDENTITY)
        served = "lambda, s3 and GetCallerIdentity of sts" if self._store else "lambda and GetCallerIdentity of sts"
        raise AwsError(501, "NotImplemented", f"The local cloud has no {service}; on this port it serves {served}.")

    def _signed(self, scope: Scope, receive: Receive, service: str, body: bytes) -> Request:
        digest = hashlib.sha256(body).hexdigest()
        try:
            request = replace(read(scope, receive), path=scope["raw_path"].decode("latin-1"))
            signature.verify(request, self._keys, now=self._now(), service=service, content=digest)
        except S3Error as exc:
            kind = _REFUSALS.get(exc.code, "IncompleteSignatureException")
            raise AwsError(exc.status, kind, f"{exc.message} {_ADVICE}") from exc
        return request


def _service(incoming: Incoming) -> str:
    """The service that the credential is for; what is not signed is S3's unless its path is Lambda's."""
    claimed = incoming.headers.get("authorization", "") + unquote(incoming.scope["query_string"].decode("latin-1"))
    if match := _SCOPE.search(claimed):
        return match[1]
    return "lambda" if _LAMBDA.match(incoming.path) else "s3"


def _host(origin: str) -> str | None:
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return None
    return f"[{host}]" if host and ":" in host else host


def _is_form(incoming: Incoming) -> bool:
    return incoming.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
