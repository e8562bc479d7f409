"""Cross-origin answers as AWS gives them: by the gateway, from the template, never from the function.

Except that `*` never goes with credentials: an HTTP API refuses to be made so, a function URL would repeat any origin.
"""

from collections.abc import Collection, Mapping

from local.events import HttpResponse
from local.template.spec import Cors

_ANY_METHOD = "GET, HEAD, POST, PUT, PATCH, DELETE"


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def preflight(cors: Cors, headers: Mapping[str, str]) -> HttpResponse:
    """What a browser asks before the real request. An origin that may not call gets no permission."""
    answer = origin_headers(cors, headers.get("origin", ""))
    if len(answer) > 1:
        methods = _ANY_METHOD if "*" in cors.allow_methods else ", ".join(cors.allow_methods)
        wanted = headers.get("access-control-request-headers", "")
        allowed = wanted if "*" in cors.allow_headers else ", ".join(cors.allow_headers)
        answer += _granted(cors, methods, allowed)
    return HttpResponse(204, tuple(answer))


def fixed_preflight(cors: Cors, methods: Collection[str]) -> HttpResponse:
    """A REST API's: the template's texts, whoever asks. What its functions answer says of origins is theirs to say."""
    answer = [("access-control-allow-origin", ",".join(cors.allow_origins))]
    if _with_credentials(cors):
        answer.append(("access-control-allow-credentials", "true"))
    known = _ANY_METHOD.split(", ") if "ANY" in methods else methods
    granted = cors.allow_methods or sorted({*known, "OPTIONS"})
    answer += _granted(cors, ",".join(granted), ",".join(cors.allow_headers))
    return HttpResponse(200, tuple(answer))


def _granted(cors: Cors, methods: str, headers: str) -> list[tuple[str, str]]:
    answer = [("access-control-allow-methods", methods)]
    if headers:
        answer.append(("access-control-allow-headers", headers))
    if cors.max_age is not None:
        answer.append(("access-control-max-age", str(cors.max_age)))
    return answer


def origin_headers(cors: Cors, origin: str) -> list[tuple[str, str]]:
    """What every answer carries; only `vary` for an origin that is not allowed."""
    answer = [("vary", "Origin")]
    if not origin or not allows(cors, origin):
        return answer
    answer.append(("access-control-allow-origin", "*" if "*" in cors.allow_origins else origin))
    if _with_credentials(cors):
        answer.append(("access-control-allow-credentials", "true"))
    if cors.expose_headers:
        answer.append(("access-control-expose-headers", ", ".join(cors.expose_headers)))
    return answer


def _with_credentials(cors: Cors) -> bool:
    return cors.allow_credentials and "*" not in cors.allow_origins


def with_origin(response: HttpResponse, cors: Cors | None, origin: str) -> HttpResponse:
    """The template's answer in place of what the function says about origins."""
    if cors is None:
        return response
    kept = [item for item in response.headers if not item[0].startswith("access-control-")]
    varies = [value for name, value in kept if name == "vary"]
    added = origin_headers(cors, origin)
    headers = [item for item in kept if item[0] != "vary"] + added[1:]
    headers.append(("vary", ", ".join(dict.fromkeys([*varies, "Origin"]))))
    return HttpResponse(response.status, tuple(headers), response.cookies, response.body)


def allows(cors: Cors, origin: str) -> bool:
    return any(
        allowed in ("*", origin) or (allowed.endswith("://*") and origin.startswith(allowed[:-1]))
        for allowed in cors.allow_origins
    )
