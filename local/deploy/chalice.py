"""Chalice: the app and its configuration."""

from typing import Any

from local.deploy import CannotRender, Source, chalice_stack
from local.deploy.documents import as_dict, as_json, as_list
from local.deploy.limits import seconds, together
from local.template.spec import FunctionSpec

OPERATED = ("create_api_key", "list_api_keys", "revoke_api_key")
"""HTTP functions that an operator may invoke as well."""

APP = '''"""Facet as one Chalice app, rendered from template.yaml: an API of all HTTP functions, and each of the others.

A function is imported when it is first needed: every Lambda function of a Chalice app begins with this module.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from chalice.app import Chalice

from facet import loading
from facet.adapters import chalice
from facet.api import Api
from facet.cors import CrossOrigin
from facet.http import Request, Response
from facet.settings import settings

HTTP = {http}
ROUTES = {routes}  # below PATH_PREFIX
BARE = {bare}  # also without it
SCHEDULES = {schedules}
INVOKED = {invoked}  # by operators, and by the queue's event source mapping


class _Functions:
    @cached_property
    def _api(self) -> Api:
        return Api(map(loading.load, HTTP))

    def respond(self, request: Request, context: Any) -> Response:
        return self._api.respond(request, context)


def _routed(**parameters: str) -> None:
    """For API Gateway there is a view of every route; the middleware answers before it is asked."""


def _function(name: str) -> Callable[[Any, Any], Any]:
    def invoked(event: Any, context: Any) -> Any:
        return loading.load(name)(event, context)

    invoked.__name__ = name
    return invoked


app = Chalice("facet", configure_logs=False)
app.api.binary_types = ["*/*"]  # so that bodies arrive as they were sent
app.register_middleware(chalice.middleware(CrossOrigin(_Functions(), settings().cors_origins)), "http")

for path, methods in {{**{{settings().path_prefix + path: ROUTES[path] for path in ROUTES}}, **BARE}}.items():
    app.route(path, methods=methods, name="routed")(_routed)
for name in INVOKED:  # Lambda finds them by name in this module
    globals()[name] = app.lambda_function(name=name)(_function(name))
for name, expression in SCHEDULES.items():
    globals()[name] = app.schedule(expression, name=name)(chalice.triggered(_function(name), name=name))
'''


def render(source: Source) -> dict[str, str]:
    """Raises CannotRender."""
    return {
        "app.py": _app(source),
        ".chalice/config.json": as_json(_config(source)),
        ".chalice/policy.json": as_json(chalice_stack.policy()),
        "resources.json": as_json(chalice_stack.additions(source, [*_invoked(source), *_schedules(source)])),
    }


def _app(source: Source) -> str:
    below, bare = _routes(source)
    return APP.format(
        http=as_list(spec.name for spec in source.http),
        routes=as_dict(below),
        bare=as_dict(bare),
        schedules=as_dict(_schedules(source)),
        invoked=as_list(_invoked(source)),
    )


def _routes(source: Source) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Methods by path, below the prefix and without it; a page may ask every path what it allows (OPTIONS)."""
    prefix = next(setting.default or "" for setting in source.settings if setting.name == "PATH_PREFIX")
    found: dict[str, list[str]] = {}
    for route in source.template.routes:
        found.setdefault(route.path, []).append(route.method)
    whole = {path: _with_heads(methods) for path, methods in found.items()}
    below = {path.removeprefix(prefix): each for path, each in whole.items() if path.startswith(f"{prefix}/")}
    return below, {path: each for path, each in whole.items() if not path.startswith(f"{prefix}/")}


def _with_heads(methods: list[str]) -> list[str]:
    return [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]


def _schedules(source: Source) -> dict[str, str]:
    for spec, schedule in source.scheduled:
        if len(spec.schedules) > 1 or schedule.input is not None or schedule.timezone != "UTC":
            raise CannotRender(f"Chalice has one schedule a function, in UTC, without Input: see {spec.logical_id}.")
    return {spec.name: schedule.expression for spec, schedule in source.scheduled}


def _invoked(source: Source) -> list[str]:
    called = {spec.name for spec in source.http} | {spec.name for spec, _ in source.scheduled}
    return [name for name in source.template.functions if name not in called or name in OPERATED]


def _config(source: Source) -> dict[str, Any]:
    timeout, memory = together(source)
    limits = {"api_handler": {"lambda_timeout": timeout, "lambda_memory_size": memory}}
    for name in [*_invoked(source), *_schedules(source)]:
        limits[name] = _limits(source.template.functions[name])
    prefix = next(setting for setting in source.settings if setting.name == "PATH_PREFIX")
    return {
        "version": "2.0",
        "app_name": "facet",
        "autogen_policy": False,
        "iam_policy_file": "policy.json",
        "environment_variables": {prefix.name: prefix.default},
        "lambda_functions": limits,
        "stages": {"dev": {"api_gateway_stage": "dev"}, "prod": {"api_gateway_stage": "prod"}},
    }


def _limits(spec: FunctionSpec) -> dict[str, int]:
    limits = {"lambda_timeout": seconds(spec), "lambda_memory_size": spec.memory}
    return limits if spec.reserved_concurrency is None else limits | {"reserved_concurrency": spec.reserved_concurrency}
