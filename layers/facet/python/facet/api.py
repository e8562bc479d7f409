"""All HTTP functions in one process, behind one address: the routes of their endpoints, and a URL for each."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from facet import http
from facet.function import Function
from facet.http import Answers, Request, Response
from facet.problems import MethodNotAllowed, NotFound, Problem, refusal
from facet.settings import settings


class DuplicateRoute(Exception):
    """Two functions declare the same route; the text names both."""


class FunctionNotFound(Problem):
    """There is no function URL of this name."""

    status, code, title = 404, "FUNCTION_NOT_FOUND", "Not Found"


class _Unrouted(Exception):
    """No function takes the request. What is said has the form of the endpoints of `beside`, as in each of them."""

    def __init__(self, problem: Problem, beside: Iterable[Function] = ()) -> None:
        self.problem = problem
        self.kept = any(endpoint.kept for function in beside for endpoint in function.endpoints)
        super().__init__(problem)


@dataclass(frozen=True)
class _Route:
    method: str
    path: str
    function: Function

    @property
    def rank(self) -> list[bool]:
        """The smaller, the earlier it comes into question: static parts win over parameters, from the left."""
        return [part.startswith("{") for part in self.path.split("/")]

    @property
    def shape(self) -> tuple[str, ...]:
        return self.method, *("{}" if part.startswith("{") else part for part in self.path.split("/"))


class Api(Answers):
    """Answers a request by the function that declares its route, or by the one whose URL, /fn/<name>/…, is called.

    Raises DuplicateRoute.
    """

    def __init__(self, functions: Iterable[Function]) -> None:
        self._functions = {function.app_name: function for function in functions if function.routes}
        self._routes: dict[int, list[_Route]] = {}
        for route in sorted(_routes(self._functions.values()), key=lambda route: route.rank):
            self._routes.setdefault(len(route.rank), []).append(route)

    def respond(self, request: Request, context: Any) -> Response:
        try:
            function, request = self._target(request)
        except _Unrouted as unrouted:
            return refusal(unrouted.problem, request, request_id=http.invocation_id(context), kept=unrouted.kept)
        return function.respond(request, context)

    def _target(self, request: Request) -> tuple[Function, Request]:
        if not request.path.startswith(http.OWN_URLS):
            return self._routed(request), request
        name, slash, rest = request.path.removeprefix(http.OWN_URLS).partition("/")
        if name not in self._functions:
            raise _Unrouted(FunctionNotFound(f"There is no function URL {name[:100]}."))
        return self._functions[name], replace(request, path=slash + rest or "/")

    def _routed(self, request: Request) -> Function:
        path = http.below(settings().path_prefix, request.path)
        candidates = self._routes.get(path.count("/") + 1, ())
        found = [route for route in candidates if http.match(route.path, path) is not None]
        method = "GET" if request.method == "HEAD" else request.method
        for route in found:
            if route.method == method:
                return route.function
        if not found:
            near = [route.function for route in candidates if _resembles(route.path, path)]
            raise _Unrouted(NotFound(), near or self._functions.values())
        allowed = MethodNotAllowed.but({route.method for route in found})
        raise _Unrouted(allowed, [route.function for route in found])


def _resembles(pattern: str, path: str) -> bool:
    """Whether only the parameters of a path keep it from fitting, since they are empty or no text."""
    pairs = zip(pattern.split("/"), path.split("/"), strict=True)
    return all(part.startswith("{") or part == given for part, given in pairs)


def _routes(functions: Iterable[Function]) -> list[_Route]:
    known: dict[tuple[str, ...], _Route] = {}
    for function in functions:
        for path, methods in function.routes.items():
            for method in methods:
                route = _Route(method, path, function)
                if (other := known.setdefault(route.shape, route)) is not route:
                    raise DuplicateRoute(
                        f"{method} {path} is declared by both {other.function.app_name} and {function.app_name}"
                    )
    return list(known.values())
