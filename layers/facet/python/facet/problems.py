"""Failures as answers: RFC 9457 problem details, or the old system's {"detail": …} for its clients."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from facet.http import Request, Response, accepted, finished

Fault = dict[str, Any]  # {"type", "loc", "msg"} of one invalid value; never the value itself

_PROBLEM = "application/problem+json"
_RETRYABLE = frozenset({408, 425, 429, 502, 503, 504})


class Problem(Exception):
    """Something failed here that nobody foresaw. The log has the cause under the `request_id`; name it when you report.

    The root of every failure a client may see. Subclasses set status, code and title; the first paragraph of their
    docstrings is what the catalogue of problems tells the client's developer.
    """

    status: int = 500
    code: str = "INTERNAL_ERROR"
    title: str = "Internal server error"
    headers: Mapping[str, str] = {}
    errors: Sequence[Fault] = ()

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Fault] = (),
    ) -> None:
        self.detail = detail or self.title
        super().__init__(self.detail)
        self.headers = {**type(self).headers, **(headers or {})}
        self.errors = tuple(errors)

    @classmethod
    def of(cls, error: Exception) -> "Problem":
        """A declared exception (class attributes `status`, `code`, `title`; optional `headers`) as a Problem."""
        problem = cls(str(error) or None, headers=getattr(error, "headers", None), errors=getattr(error, "errors", ()))
        for name in ("status", "code", "title"):
            setattr(problem, name, getattr(error, name))
        problem.detail = str(error) or problem.title
        return problem

    @classmethod
    def of_status(cls, status: int, detail: str) -> "Problem":
        """A Problem named after its status, for errors Chalice raises by itself."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            return cls()
        problem, phrase = cls(detail), HTTPStatus(status)
        problem.status, problem.code, problem.title = status, phrase.name, phrase.phrase
        return problem

    def render(self, request: Request, *, kept: bool) -> Response:
        """The answer. A `kept` route speaks the old form unless the client asks for problem details."""
        if kept and not accepts_problems(request.headers.get("accept", "")):
            return self._answer({"detail": self.errors or self.detail}, "application/json")
        body = details(self, detail=self.detail, instance=request.path, request_id=request.request_id)
        return self._answer({**body, "errors": self.errors} if self.errors else body, _PROBLEM)

    def _answer(self, body: Mapping[str, Any], content_type: str) -> Response:
        headers = [("content-type", content_type), ("cache-control", "no-store"), *self.headers.items()]
        return Response(self.status, json.dumps(body, separators=(",", ":")), headers)


class NotFound(Problem):
    """There is nothing at this path. Check it, the base path included, against the documentation."""

    status, code, title = 404, "NOT_FOUND", "Not Found"


class MethodNotAllowed(Problem):
    """The path exists, but not with this method. `Allow` names the methods it takes."""

    status, code, title = 405, "METHOD_NOT_ALLOWED", "Method Not Allowed"

    @classmethod
    def but(cls, methods: Set[str]) -> "MethodNotAllowed":
        """Only these; what may be read by GET may be asked for by HEAD."""
        return cls(headers={"Allow": ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))})


class MalformedBody(Problem):
    """The body is no multipart form: a boundary is missing or wrong, or it was cut off. Let your library build it."""

    status, code, title = 400, "MALFORMED_BODY", "The body cannot be read"


class BodyTooLarge(Problem):
    """The body, or a part of it, is larger than the limit that `detail` names. Larger photos go by `POST /uploads`."""

    status, code, title = 413, "BODY_TOO_LARGE", "The body is too large"


class UnsupportedMediaType(Problem):
    """The body has a content type this operation does not read. Send JSON with `Content-Type: application/json`."""

    status, code, title = 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type"


class Invalid(Problem):
    """A value of the request is missing or not valid, a missing token included. `errors` says which and why."""

    status, code, title = 422, "VALIDATION_FAILED", "The request is not valid"

    def __init__(self, errors: Sequence[Fault]) -> None:
        named = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in errors[:5])
        super().__init__(named, errors=errors)

    @classmethod
    def missing(cls, *location: str) -> "Invalid":
        return cls([{"type": "missing", "loc": list(location), "msg": "Field required"}])


def refusal(problem: Problem, request: Request, *, request_id: str, kept: bool = False) -> Response:
    """A whole answer that no function gives, but what stands before it."""
    response = problem.render(replace(request, request_id=request_id), kept=kept)
    return finished(response, method=request.method, request_id=request_id)


def details(error: Any, *, detail: str, instance: str, request_id: str) -> dict[str, Any]:
    """The problem details of an exception, or of a class of them, with `status`, `code` and `title`."""
    waits = any(name.lower() == "retry-after" for name in getattr(error, "headers", ()))
    return {
        "type": f"/problems/{error.code.lower().replace('_', '-')}",
        "title": error.title,
        "status": error.status,
        "detail": detail,
        "instance": instance,
        "code": error.code,
        "request_id": request_id,
        "retryable": waits or error.status in _RETRYABLE,
    }


def accepts_problems(accept: str) -> bool:
    """Whether an Accept header names problem details and does not prefer plain JSON."""
    weights = accepted(accept)
    problem = weights.get(_PROBLEM, 0.0)
    return problem > 0 and problem >= weights.get("application/json", 0.0)
