"""One HTTP operation of a function: what it declares, and how a request becomes its answer."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import ChaliceViewError
from pydantic import BaseModel

from facet import inputs, log
from facet.http import Answer, Request, Response
from facet.problems import Problem, UnsupportedMediaType

if TYPE_CHECKING:
    from facet.limits import Limit

_JSON = ("content-type", "application/json")


@dataclass(frozen=True)
class Endpoint:
    """A method, a path (without PATH_PREFIX) and the view behind it.

    For the documentation alone: `sends`, headers of its answers that the rest does not imply, and `produces`, media
    types beside the JSON of `returns`.
    """

    function: str
    method: str
    path: str
    view: Callable[..., Any]
    body: type[BaseModel] | None = None
    form: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    returns: type[BaseModel] | None = None
    status: int = 200
    caller: Callable[[Request], Any] | None = None
    raises: tuple[type[Exception], ...] = ()
    kept: bool = False
    summary: str | None = None
    tags: Sequence[str] = ()
    limits: tuple["Limit", ...] = ()
    sends: Sequence[str] = ()
    produces: Sequence[str] = ()

    def __post_init__(self) -> None:
        offered = {"request", *self.path_names}
        offered |= {name for name in ("caller", "body", "form", "query", "headers") if getattr(self, name) is not None}
        for name, parameter in self._parameters.items():
            if name not in offered and parameter.default is inspect.Parameter.empty:
                raise TypeError(
                    f"{self.function}: {self.view.__name__}() wants {name!r}, which {self.path} does not give"
                )

    @cached_property
    def path_names(self) -> tuple[str, ...]:
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.view).parameters

    def answer(self, request: Request) -> Response:
        """The view's answer. Here, and only here, every failure becomes one."""
        try:
            return self._respond(request)
        except Exception as error:
            problem = self._problem(error)
        return problem.render(request, kept=self.kept)

    def _problem(self, error: Exception) -> Problem:
        if isinstance(error, self.raises) and not isinstance(error, Problem):
            return Problem.of(error)
        if isinstance(error, ChaliceViewError):
            return Problem.of_status(error.STATUS_CODE, str(error))
        if not isinstance(error, Problem):
            log.get().error("%s %s failed", self.method, self.path, exc_info=error)
            return Problem()
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.get().warning("%s: %s", error.code, error.detail, extra=log.cause(error))
        return error

    def _respond(self, request: Request) -> Response:
        given: dict[str, Any] = {"request": request, **request.path_parameters}
        if self.caller is not None:
            given["caller"] = self.caller(request)
        given |= self._inputs(request)
        limited = [header for limit in self.limits for header in limit.take(request, given)]
        result = self.view(**{name: value for name, value in given.items() if name in self._parameters})
        response = self._response(result)
        if (self.caller is not None or _JSON in response.headers) and not response.has("cache-control"):
            response = replace(response, headers=[*response.headers, ("cache-control", "no-store")])
        response = replace(response, headers=[*response.headers, *limited])
        _check(response)
        return response

    def _inputs(self, request: Request) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if self.query is not None:
            given["query"] = inputs.query_of(self.query, request)
        if self.headers is not None:
            given["headers"] = inputs.headers_of(self.headers, request)
        body, form = self._content(request)
        given["body"] = body
        given["form"] = form
        return given

    def _content(self, request: Request) -> tuple[BaseModel | None, BaseModel | None]:
        """The body and the form; where a path takes either, the content type decides and the other is None."""
        by_form = self.form is not None and (
            self.body is None or not request.content_type or not inputs.is_json(request)
        )
        if self.form is not None and by_form:
            return None, inputs.form_of(self.form, request)
        if self.body is None:
            return None, None
        if not self.kept and request.body and not inputs.is_json(request):
            raise UnsupportedMediaType("JSON is expected, with Content-Type: application/json")
        return inputs.body_of(self.body, request), None

    def _response(self, result: Any) -> Response:
        if isinstance(result, Response):
            return result
        if isinstance(result, Answer):
            response = self._response(result.content)
            return replace(response, status=result.status or self.status, headers=[*response.headers, *result.headers])
        if self.returns is not None and result is not None:
            answer = self.returns.model_validate(result, from_attributes=True)
            return Response(self.status, answer.model_dump_json(by_alias=True), [_JSON])
        if result is None:
            return Response(self.status)
        return Response(self.status, json.dumps(result, separators=(",", ":"), allow_nan=False), [_JSON])


def _check(response: Response) -> None:
    for name, value in response.fields:
        if not value.isprintable() or not name.isascii() or not value.isascii():
            raise ValueError(f"the header {name} of an answer cannot be sent")
