"""AWS signature version 4, in headers or in the address, checked with botocore's own signer."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPMessage
from typing import cast
from urllib.parse import quote

from botocore.auth import UNSIGNED_PAYLOAD, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.services.objects.errors import S3Error
from local.services.objects.keys import Key
from local.services.objects.request import Request

_ALGORITHM = "AWS4-HMAC-SHA256"
_LARGEST_SKEW = 15 * 60
_LONGEST_LIFE = 7 * 24 * 3600
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


@dataclass(frozen=True)
class Claim:
    """What a request says about its signature; `lifetime` is None when the headers carry it."""

    access_key: str
    scope: str  # date/region/service/aws4_request
    signed: tuple[str, ...]
    signature: str
    timestamp: str
    lifetime: int | None
    content: str  # x-amz-content-sha256: a digest, or the name of a scheme

    @property
    def region(self) -> str:
        return self.scope.split("/")[1]

    @property
    def service(self) -> str:
        return self.scope.split("/")[2]


class _Headers(dict[str, str]):
    """As much of an HTTPMessage as the signer reads, at a tenth of its cost."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]]


class Signer(S3SigV4Auth):
    """botocore's signer, told what was signed instead of choosing it."""

    def __init__(self, key: Key, claim: Claim, request: Request) -> None:
        super().__init__(Credentials(key.access_key, key.secret_key.get_secret_value()), claim.service, claim.region)
        self.key = key
        self.claim = claim
        self._request = request

    def headers_to_sign(self, request: AWSRequest) -> HTTPMessage:
        headers = self._request.headers
        return cast(HTTPMessage, _Headers((name, headers[name]) for name in self.claim.signed if name in headers))

    def of_request(self) -> str:
        """The signature the request should carry."""
        pairs = (pair for pair in self._request.parameters if pair[0] != "X-Amz-Signature")
        query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
        url = f"http://host{quote(self._request.path, safe='/~')}?{query}"
        signed = self._dated(AWSRequest(self._request.method, url, {"X-Amz-Content-SHA256": self.claim.content}))
        return self.signature(self.string_to_sign(signed, self.canonical_request(signed)), signed)

    def of_chunk(self, purpose: str, *lines: str) -> str:
        """The signature a chunk or the trailer of the body should carry; `lines` begin with the one before it."""
        text = "\n".join((f"{_ALGORITHM}-{purpose}", self.claim.timestamp, self.claim.scope, *lines))
        return self.signature(text, self._dated(AWSRequest()))

    def _dated(self, request: AWSRequest) -> AWSRequest:
        request.context["timestamp"] = self.claim.timestamp
        return request


def verify(
    request: Request, keys: Mapping[str, Key], *, now: float, service: str = "s3", content: str | None = None
) -> Signer:
    """The signer whose signature the request carries; raises S3Error when there is none, or not of this request.

    Services other than S3 sign the path as it is sent (so that is the request's `path`), for any region, and the
    digest of the body: `content`.
    """
    claim = _claim(request, service, content)
    key = keys.get(claim.access_key)
    if key is None:
        raise S3Error("InvalidAccessKeyId")
    _require_all_signed(request, claim)
    _require_time(claim, now)
    signer = Signer(key, claim, request)
    if not hmac.compare_digest(signer.of_request().encode(), claim.signature.encode()):
        raise S3Error("SignatureDoesNotMatch")
    # A client may not know the region before it asked for it.
    if service == "s3" and claim.region != key.region and "location" not in request.query:
        raise S3Error("AuthorizationHeaderMalformed", f"The region is {key.region}.", Region=key.region)
    return signer


def _claim(request: Request, service: str, content: str | None) -> Claim:
    header = request.headers.get("authorization")
    presigned = "X-Amz-Algorithm" in request.query
    if header and presigned:
        raise S3Error("InvalidArgument", "Only one way to sign a request may be used.")
    if not header and not presigned:
        raise S3Error("AccessDenied", "Requests without a signature are not answered.")
    try:
        return (
            _claim_of_headers(request, header, service, content)
            if header
            else _claim_of_query(request, service, content)
        )
    except KeyError as exc:
        raise S3Error("AuthorizationHeaderMalformed", f"{exc.args[0]} is missing.") from exc


def _claim_of_headers(request: Request, header: str, service: str, content: str | None) -> Claim:
    algorithm, _, fields = header.partition(" ")
    if algorithm != _ALGORITHM:
        raise S3Error("InvalidRequest", f"Only {_ALGORITHM} signatures are understood.")
    given = {name.strip(): value for name, _, value in (field.partition("=") for field in fields.split(","))}
    timestamp, content = request.headers["x-amz-date"], content or request.headers["x-amz-content-sha256"]
    scope = _scope(given["Credential"], timestamp, service)
    return Claim(*scope, _names(given["SignedHeaders"]), given["Signature"], timestamp, None, content)


def _claim_of_query(request: Request, service: str, content: str | None) -> Claim:
    query = request.query
    content = content or request.headers.get("x-amz-content-sha256") or query.get("X-Amz-Content-Sha256")
    timestamp, lifetime = query["X-Amz-Date"], query["X-Amz-Expires"]
    if query["X-Amz-Algorithm"] != _ALGORITHM:
        raise S3Error("AuthorizationQueryParametersError", f"X-Amz-Algorithm must be {_ALGORITHM}.")
    if not re.fullmatch("[0-9]{1,6}", lifetime) or not 1 <= int(lifetime) <= _LONGEST_LIFE:
        raise S3Error("AuthorizationQueryParametersError", f"X-Amz-Expires must be 1 to {_LONGEST_LIFE} seconds.")
    scope, signed = _scope(query["X-Amz-Credential"], timestamp, service), _names(query["X-Amz-SignedHeaders"])
    return Claim(*scope, signed, query["X-Amz-Signature"], timestamp, int(lifetime), content or UNSIGNED_PAYLOAD)


def _scope(credential: str, timestamp: str, service: str) -> tuple[str, str]:
    """Access key and scope out of key/date/region/service/aws4_request."""
    access_key, *scope = credential.rsplit("/", 4)
    if len(scope) != 4 or scope[0] != timestamp[:8] or scope[2:] != [service, "aws4_request"]:
        raise S3Error("AuthorizationHeaderMalformed", f"The credential is not of that day, or not for {service}.")
    return access_key, "/".join(scope)


def _names(signed_headers: str) -> tuple[str, ...]:
    return tuple(signed_headers.split(";"))


def _require_all_signed(request: Request, claim: Claim) -> None:
    """Nobody may add to what was signed: `x-amz-copy-source` would turn an upload into a copy."""
    loose = [name for name in request.headers if name.startswith("x-amz-") and name not in claim.signed]
    if loose or "host" not in claim.signed:
        raise S3Error("AccessDenied", "Headers were not signed.", HeadersNotSigned=", ".join(loose or ["host"]))


def _require_time(claim: Claim, now: float) -> None:
    age = now - _moment(claim.timestamp)
    if claim.lifetime is None and abs(age) > _LARGEST_SKEW:
        raise S3Error("RequestTimeTooSkewed")
    if claim.lifetime is not None and age < -_LARGEST_SKEW:
        raise S3Error("AccessDenied", "The request is not valid yet.")
    if claim.lifetime is not None and age > claim.lifetime:
        raise S3Error("AccessDenied", "The request has expired.")


def _moment(timestamp: str) -> float:
    try:
        if _TIMESTAMP.fullmatch(timestamp):
            return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:  # a thirteenth month
        pass
    raise S3Error("AccessDenied", "A signature needs a valid X-Amz-Date.")
