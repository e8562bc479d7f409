"""Pages of other origins are told the same as by AWS, and by the local gateway."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from facet import cors, loading
from facet.adapters import wsgi
from facet.api import Api
from facet.context import Context
from facet.cors import CrossOrigin
from facet.http import Headers, Request, Response
from local import template
from local.testing import Local
from local.testing.services import secret

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
APP = "https://app.example.org"
PREFLIGHT = {"origin": APP, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
REQUESTS: list[tuple[str, str, Mapping[str, str]]] = [
    ("GET", "/api/v1/health/live", {"origin": APP}),
    ("GET", "/api/v1/health/live", {}),
    ("GET", "/api/v1/health/live", {"origin": "https://evil.example.org"}),
    ("GET", "/api/v1/health/live", {"origin": "null"}),
    ("HEAD", "/api/v1/docs", {"origin": APP}),
    ("POST", "/api/v1/users/registration", {"origin": APP}),
    ("GET", "/api/v1/nothing", {"origin": APP}),
    ("DELETE", "/api/v1/health/live", {"origin": APP}),
    ("OPTIONS", "/api/v1/health/live", PREFLIGHT),
    ("OPTIONS", "/api/v1/users/registration", {**PREFLIGHT, "origin": "https://evil.example.org"}),
    ("OPTIONS", "/api/v1/nothing", PREFLIGHT),
    ("OPTIONS", "/api/v1/health/live", {"origin": APP}),
    ("OPTIONS", "/api/v1/health/live", {}),
    ("OPTIONS", "/fn/health/health/live", PREFLIGHT),
    ("OPTIONS", "/fn/health/health/live", {"origin": APP}),
    ("GET", "/fn/health/health/live", {"origin": APP}),
    ("GET", "/fn/health/health/live", {"origin": "https://evil.example.org"}),
]


class Anything(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, which become None."""


Anything.add_multi_constructor("!", lambda loader, suffix, node: None)


def configurations(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every CORS configuration of the template."""
    if isinstance(node, dict):
        if "AllowOrigins" in node:
            yield node
        for value in node.values():
            yield from configurations(value)


def test_what_is_allowed_is_what_the_template_allows() -> None:
    found = list(configurations(yaml.load(TEMPLATE.read_text(), Anything)))  # noqa: S506  # a SafeLoader
    assert found
    for each in found:
        assert tuple(each["AllowMethods"]) == cors.METHODS
        assert tuple(each["AllowHeaders"]) == cors.HEADERS
        assert tuple(each["ExposeHeaders"]) == cors.EXPOSED
        assert each["MaxAge"] == cors.MAX_AGE


@pytest.mark.parametrize("origins", [APP, f"https://*,{APP}", "*"])
def test_the_template_allows_credentials_to_origins_that_are_named(origins: str) -> None:
    found = template.load(TEMPLATE, {"CORS_ORIGINS": origins})
    every = {spec.url.cors for spec in found.functions.values() if spec.url} | {each.cors for each in found.routes}
    assert {each.allow_credentials for each in every if each} == {origins != "*"}


@pytest.fixture(scope="module")
def here() -> Api:
    return Api(loading.load(name) for name in loading.names())


def told(client: httpx.Client) -> list[tuple[Any, ...]]:
    """Of each request: the status and what is said of origins."""
    found = []
    for method, path, headers in REQUESTS:
        answer = client.request(method, path, headers=headers)
        kept = sorted(item for item in answer.headers.items() if item[0].startswith(("access-control-", "vary")))
        found.append((method, path, headers, answer.status_code, kept))
    return found


@pytest.mark.parametrize("origins", [APP, f"http://localhost:5173,{APP}", "https://*", "*", "http://other.example.org"])
def test_every_answer_says_what_the_local_gateway_says(
    here: Api, origins: str, bare_environment: pytest.MonkeyPatch
) -> None:
    for name, value in secret().items():
        bare_environment.setenv(name, value)
    app = wsgi.application(CrossOrigin(here, origins.split(",")))
    with (
        Local(TEMPLATE, settings={"CORS_ORIGINS": origins, **secret()}) as local,
        local.http() as gateway,
        httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://localhost") as own,
    ):
        for one, other in zip(told(own), told(gateway), strict=True):
            assert one == other


class Answering:
    def __init__(self, response: Response) -> None:
        self.response = response

    def respond(self, request: Request, context: Any) -> Response:
        return self.response


def test_what_a_function_says_of_origins_is_replaced_and_what_it_varies_by_is_kept() -> None:
    headers = [("Access-Control-Allow-Origin", "*"), ("Vary", "Accept"), ("x-other", "1")]
    app = CrossOrigin(Answering(Response(200, "", headers)), [APP])
    answer = app.respond(Request("GET", "/", headers=Headers([("origin", APP)])), Context("test"))
    assert [value for name, value in answer.headers if name.lower() == "access-control-allow-origin"] == [APP]
    assert [value for name, value in answer.headers if name.lower() == "vary"] == ["Accept, Origin"]
    assert ("x-other", "1") in answer.headers


@pytest.mark.parametrize("origins", [["*"], [APP, "*"]])
def test_any_origin_may_call_and_none_with_credentials(origins: list[str]) -> None:
    app = CrossOrigin(Answering(Response(200, "")), origins)
    for method in ("GET", "OPTIONS"):
        answer = app.respond(Request(method, "/", headers=Headers(PREFLIGHT.items())), Context("test"))
        assert ("access-control-allow-origin", "*") in answer.headers
        assert "access-control-allow-credentials" not in dict(answer.headers)
        assert "access-control-expose-headers" in dict(answer.headers)


def test_an_options_request_that_a_function_answers_is_its_own() -> None:
    app = CrossOrigin(Answering(Response(200, "mine")), [APP])
    asked = Request("OPTIONS", "/", headers=Headers([("origin", APP)]))
    assert app.respond(asked, Context("test")).body == "mine"
    preflight = Request("OPTIONS", "/", headers=Headers(PREFLIGHT.items()))
    assert app.respond(preflight, Context("test")).status == 204
