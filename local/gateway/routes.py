"""Which function answers a path: a static part beats a parameter, and a parameter beats `{the_rest+}`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from local.template.spec import Cors, Route, RouteKind


@dataclass(frozen=True)
class Match:
    """`route` is None where the path is known with other methods only."""

    route: Route | None
    kind: RouteKind
    parameters: dict[str, str] = field(default_factory=dict)
    methods: frozenset[str] = frozenset()
    """Of the routes with this path that come into question."""
    cors: Cors | None = None

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(sorted(self.methods | ({"HEAD"} if "GET" in self.methods else set())))


class RouteTable:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = sorted(((_parts(route), route) for route in routes), key=lambda item: _rank(item[0]))
        self.kinds = {route.kind for _, route in self._routes}
        answers = {route.cors for _, route in self._routes if route.kind == "http"}
        self.cors = answers.pop() if len(answers) == 1 else None
        """What the HTTP API says of origins, if it is one."""

    def match(self, method: str, path: str) -> Match | None:
        """The route for a percent-encoded path; its parameters stay encoded. A trailing slash is another path."""
        given = path.split("/")[1:]
        others: list[Route] = []
        for parts, route in self._routes:
            parameters = _parameters(parts, given)
            if parameters is None:
                continue
            if route.method in (method, "ANY") or (method == "HEAD" and route.method == "GET"):
                return Match(route, route.kind, parameters, frozenset({route.method}), route.cors)
            others.append(route)
        if not others:
            return None
        methods = frozenset(route.method for route in others)
        return Match(None, others[0].kind, methods=methods, cors=others[0].cors)


def _parts(route: Route) -> list[str]:
    return ["{any+}"] if route.path == "$default" else route.path.split("/")[1:]


def _rank(parts: list[str]) -> list[int]:
    return [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in parts]


def _parameters(parts: list[str], given: list[str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for position, part in enumerate(parts):
        if part.endswith("+}"):
            rest = "/".join(given[position:])
            return {**found, part[1:-2]: rest} if rest or part == "{any+}" else None
        if position == len(given):
            return None
        if part.startswith("{") and given[position]:
            found[part[1:-1]] = given[position]
        elif part != unquote(given[position]):
            return None
    return found if len(parts) == len(given) else None
