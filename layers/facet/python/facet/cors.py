"""Cross-origin answers where no gateway gives them: what template.yaml has AWS say, whatever a function says."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol

from facet.http import OWN_URLS, Answers, Request, Response, invocation_id

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
HEADERS = tuple(
    "accept access-token authorization content-type idempotency-key if-none-match prefer refresh-token traceparent "
    "x-api-key".split()
)
EXPOSED = tuple(
    "content-disposition etag idempotent-replayed link location preference-applied ratelimit ratelimit-policy "
    "retry-after x-request-id".split()
)
MAX_AGE = 600

_UNANSWERED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


class _Responds(Protocol):
    """All that is asked of what stands behind: what it says of origins is replaced."""

    def respond(self, request: Request, context: Any) -> Response: ...


class CrossOrigin(Answers):
    """Answers preflights, and says on every other answer which of `origins` may read it.

    An origin is `https://app.example.org`, `https://*` for all of a scheme, or `*`. Browsers send credentials along,
    unless any origin may call.
    """

    def __init__(self, answers: _Responds, origins: Sequence[str]) -> None:
        self._answers, self._origins = answers, tuple(origins)

    def respond(self, request: Request, context: Any) -> Response:
        if request.method == "OPTIONS" and _is_preflight(request):
            return self._preflight(request, context)
        response = self._answers.respond(request, context)
        own_url = request.path.startswith(OWN_URLS)  # a function's URL leaves it to the function
        if request.method == "OPTIONS" and response.status in _UNANSWERED and not own_url:
            return self._preflight(request, context)
        return self.with_origin(response, request)

    def with_origin(self, response: Response, request: Request) -> Response:
        """The answer with what is said of origins here in place of what it says itself."""
        kept = [item for item in response.headers if not item[0].lower().startswith("access-control-")]
        varies = [value for name, value in kept if name.lower() == "vary"]
        others = [item for item in kept if item[0].lower() != "vary"]
        vary = ("vary", ", ".join(dict.fromkeys([*varies, "Origin"])))
        return Response(response.status, response.body, [*others, *self._granted(request), vary], response.cookies)

    def _preflight(self, request: Request, context: Any) -> Response:
        granted = self._granted(request)
        if granted:
            granted += [
                ("access-control-allow-methods", ", ".join(METHODS)),
                ("access-control-allow-headers", ", ".join(HEADERS)),
                ("access-control-max-age", str(MAX_AGE)),
            ]
        return Response(204, headers=[("vary", "Origin"), *granted, ("x-request-id", invocation_id(context))])

    def _granted(self, request: Request) -> list[tuple[str, str]]:
        origin = request.headers.get("origin", "")
        if not origin or not any(_allows(allowed, origin) for allowed in self._origins):
            return []
        exposed = ("access-control-expose-headers", ", ".join(EXPOSED))
        if "*" in self._origins:  # what any page may do, it does not do in the name of who looks at it
            return [("access-control-allow-origin", "*"), exposed]
        return [("access-control-allow-origin", origin), ("access-control-allow-credentials", "true"), exposed]


def _is_preflight(request: Request) -> bool:
    return "origin" in request.headers and "access-control-request-method" in request.headers


def _allows(allowed: str, origin: str) -> bool:
    return allowed in ("*", origin) or (allowed.endswith("://*") and origin.startswith(allowed[:-1]))
