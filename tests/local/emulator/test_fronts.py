"""What stands before functions answers in its own words when they cannot, and keeps to its own limits."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.events import SHAPES, Shape
from local.gateway import app, fronts
from local.gateway.app import Gateway
from local.gateway.fronts import FRONTS, Front
from local.invocation import Invocation
from local.invoker import Invoker
from local.template import load
from tests.local.emulator.lab import SECRET, Lab, lab
from tests.local.emulator.test_gateway import ORIGIN, PREFLIGHT, event, problem

REST = """
  RestFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/portable
      Events:
        Get: { Type: Api, Properties: { RestApiId: !Ref RestApi, Method: get, Path: "/rest/{name}" } }
        Any: { Type: Api, Properties: { RestApiId: !Ref RestApi, Method: any, Path: "/any/{name}" } }
  RestApi:
    Type: AWS::Serverless::Api
    Properties:
      StageName: live
      Cors: { AllowOrigin: "'https://app.test'", AllowHeaders: "'x-token'", MaxAge: "'60'", AllowCredentials: true }
"""


def with_rest(text: str) -> str:
    return text + REST


def in_one_api(text: str) -> str:
    return text.replace("Properties: { Method: ANY", "Properties: { ApiId: !Ref Api, Method: ANY")


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with lab(tmp_path_factory.mktemp("rest"), edit=with_rest) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "ANY"])
def test_a_rest_api_answers_every_preflight_with_the_texts_of_its_template(rest: Lab, method: str) -> None:
    path = {"GET": "/rest/x", "ANY": "/any/x"}[method]
    response = rest.http("OPTIONS", path, headers=PREFLIGHT)
    assert (response.status_code, response.content) == (200, b"")
    assert {name: value for name, value in response.headers.items() if name.startswith("access-control-")} == {
        "access-control-allow-origin": "https://app.test",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,OPTIONS" if method == "GET" else "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT",
        "access-control-allow-headers": "x-token",
        "access-control-max-age": "60",
    }


def test_what_functions_of_a_rest_api_say_of_origins_is_theirs_to_say(rest: Lab) -> None:
    asked = json.dumps({"headers": {"access-control-allow-origin": "https://mine.test"}})
    said = rest.http("GET", "/rest/x", headers={**ORIGIN, "x-respond": asked})
    silent = rest.http("GET", "/rest/x", headers=ORIGIN)
    assert said.headers["access-control-allow-origin"] == "https://mine.test"
    assert "access-control-allow-origin" not in silent.headers


def test_a_preflight_reaches_no_function_that_takes_any_method(sample: Lab) -> None:
    response = sample.http("OPTIONS", "/files/a", headers=PREFLIGHT)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert event(sample.http("OPTIONS", "/files/a"))["requestContext"]["http"]["method"] == "OPTIONS"


def test_pages_can_read_that_a_path_is_unknown(tmp_path: Path) -> None:
    with lab(tmp_path, edit=in_one_api) as sample:
        found = sample.http("GET", "/nothing", headers=ORIGIN)
        preflight = sample.http("OPTIONS", "/nothing", headers=PREFLIGHT)
    assert found.status_code == 404
    assert found.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert preflight.status_code == 204


@pytest.mark.parametrize("path", ["/nothing", "/items/a/b"])
def test_as_a_rest_api_unknown_paths_lack_a_token(tmp_path: Path, path: str) -> None:
    with lab(tmp_path, shape="rest") as sample:
        response = sample.http("GET", path)
    assert problem(response) == (403, "MISSING_AUTHENTICATION_TOKEN")
    assert response.json()["message"] == "Missing Authentication Token"


def test_a_known_path_of_a_rest_api_with_another_method_lacks_one_too(rest: Lab) -> None:
    response = rest.http("DELETE", "/rest/x")
    assert (response.status_code, response.json()["message"]) == (403, "Missing Authentication Token")
    assert "GET, HEAD" in response.json()["detail"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_timeout_of_the_function_is_a_bad_gateway(tmp_path: Path, shape: Shape) -> None:
    with lab(tmp_path, shape=shape, edit=lambda text: text.replace("Timeout: 5", "Timeout: 1")) as sample:
        headers = {"accept": "application/problem+json", "x-sleep": "5"}
        response = sample.http("POST", "/fn/portable/x", headers=headers)
    assert (response.status_code, response.json()["code"]) == (502, "FUNCTION_TIMEOUT")
    assert response.json()["title"] == FRONTS[shape].failure


@pytest.mark.parametrize("shape", SHAPES)
def test_an_api_waits_no_longer_than_its_own_limit_with_lambdas_limits(
    tmp_path: Path, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = FRONTS[shape].patience
    assert patient == {"http": 30, "rest": 29}.get(shape)
    if patient:
        monkeypatch.setitem(fronts.FRONTS, shape, Front(patience=0.1, late=FRONTS[shape].late))
    for limits, refused in (("lambda", patient is not None), ("local", False)):
        with lab(tmp_path / limits, shape=shape, limits=limits) as sample:  # type: ignore[arg-type]  # one of the two
            response = sample.http("GET", "/fn/portable/x", headers={"x-sleep": "0.4"})
        late = {"http": (503, "Service Unavailable"), "rest": (504, "Endpoint request timed out")}
        if refused:
            assert (response.status_code, response.json()["message"]) == late[shape]
            assert response.json()["code"] == "GATEWAY_TIMEOUT"
        else:
            assert response.status_code == 200


def test_a_balancer_carries_a_megabyte_either_way_with_lambdas_limits(tmp_path: Path) -> None:
    with lab(tmp_path, shape="alb", limits="lambda") as sample:
        assert sample.http("POST", "/fn/portable/x", content=b"x" * 1_048_576).status_code == 200
        assert sample.http("POST", "/fn/portable/x", content=b"x" * 1_048_577).status_code == 413
    with lab(tmp_path / "local", shape="alb") as sample:
        assert sample.http("POST", "/fn/portable/x", content=b"x" * 1_048_577).status_code == 200


class Answers:
    """An invoker whose functions all answer the same."""

    def __init__(self, invoker: Invoker, payload: bytes, broken: Mapping[str, str]) -> None:
        self.limits, self._invoker, self._payload, self._broken = invoker.limits, invoker, payload, broken
        self.sources: list[str] = []

    @property
    def broken(self) -> Mapping[str, str]:
        return self._broken

    async def invoke(
        self,
        name: str,
        event: Mapping[str, Any] | bytes,
        *,
        request_id: str | None = None,
        source: str = "invoke",
        **given: Any,
    ) -> Invocation:
        self.sources.append(source)
        report = (await self._invoker.invoke("tick", b"{}")).report
        return Invocation(request_id or "", name, self._payload, None, "", report)

    def sandboxes(self) -> dict[str, dict[str, int]]:
        return {}


def asked(sample: Lab, gateway: Gateway, url: str, **options: Any) -> httpx.Response:
    other = Lab(sample.folder, sample.template, sample.invoker, gateway, sample.runner)
    return other.http("GET", url, **options)


def test_too_large_an_answer_is_a_bad_gateway_where_a_balancer_carries_it(tmp_path: Path) -> None:
    with lab(tmp_path, limits="lambda") as sample:
        answers = Answers(sample.invoker, json.dumps({"statusCode": 200, "body": "x" * 1_048_576}).encode(), {})
        carried = {
            shape: asked(sample, app.create_app(sample.template, answers, shape=shape), "/fn/echo/") for shape in SHAPES
        }
    assert {shape: response.status_code for shape, response in carried.items()} == {
        "furl": 200,
        "http": 200,
        "rest": 200,
        "alb": 502,
        "alb-multi": 502,
    }


def test_a_function_kept_at_its_old_version_says_so_on_one_line(sample: Lab) -> None:
    broken = {"echo": "SyntaxError: '(' was never closed\n  (handler.py, line 3) ü"}
    answers = Answers(sample.invoker, b'{"statusCode": 200}', broken)
    gateway = app.create_app(sample.template, answers)
    response = asked(sample, gateway, "/items")
    assert response.headers["x-facet-reload-error"] == "SyntaxError: '(' was never closed (handler.py, line 3) \\xfc"
    assert "x-facet-reload-error" not in asked(sample, gateway, "/fn/slow/").headers
    assert answers.sources == ["http", "http"]


def test_the_page_of_a_balancer_says_what_happened_without_markup(sample: Lab) -> None:
    answers = Answers(sample.invoker, b'{"statusCode": 200, "headers": {"<b>": "1"}}', {})
    response = asked(sample, app.create_app(sample.template, answers, shape="alb"), "/items")
    assert (response.status_code, response.headers["content-type"]) == (502, "text/html")
    assert "<b>" not in response.text
    assert "header '<b>' has characters" in html.unescape(response.text)


def test_another_template_is_followed_from_the_next_request_on(sample: Lab, tmp_path: Path) -> None:
    gateway = app.create_app(sample.template, sample.invoker)
    assert asked(sample, gateway, "/things").status_code == 404
    text = (sample.folder / "project/template.yaml").read_text().replace("Path: /items }", "Path: /things }")
    (sample.folder / "project/other.yaml").write_text(text)
    gateway.replace(load(sample.folder / "project/other.yaml", {"SECRET_KEY": SECRET}))
    assert asked(sample, gateway, "/things").status_code == 200
    assert asked(sample, gateway, "/items").status_code == 404


@pytest.mark.parametrize(
    ("origins", "origin", "readable"),
    [
        ("http://localhost:5173,http://app.test", "http://localhost:5173", True),
        ("http://localhost:5173,http://app.test", "http://app.test", True),
        ("http://localhost:5173,http://app.test", "http://localhost:3000", False),
        ("http://localhost:5173,http://app.test", "http://evil.example", False),
        ("*", "http://localhost:3000", True),
        ("*", "http://[::1]:3000", True),
        ("*", "http://create-task.localhost:3000", True),
        ("*", "http://evil.example", False),
        ("*", "http://localhost.evil.example", False),
        ("*", "http://[::1", False),
        ("*", "null", False),
    ],
)
def test_a_page_reads_the_manifest_when_it_is_local_or_named(
    tmp_path: Path, origins: str, origin: str, readable: bool
) -> None:
    def from_there(text: str) -> str:
        return in_one_api(text).replace('"http://localhost:5173,http://app.test"', f'"{origins}"')

    with lab(tmp_path, edit=from_there) as sample:
        response = sample.http("GET", "/_local/functions", headers={"origin": origin})
    assert response.status_code == 200
    told = origin if origin in origins else "*"
    assert response.headers.get("access-control-allow-origin") == (told if readable else None)


def test_the_manifest_is_for_no_name_of_another_site(tmp_path: Path) -> None:
    with lab(tmp_path, hosts=["rebound.example"]) as sample:
        assert sample.http("GET", "http://rebound.example/_local/functions").status_code == 404
        assert sample.http("GET", "http://evil.example/_local/functions").status_code == 421


def test_addresses_of_the_manifest_can_be_called_as_they_are(sample: Lab) -> None:
    listed = sample.http("GET", "http://127.0.0.1:8123/_local/functions").json()["functions"]
    rows = {row["name"]: row for row in listed}
    assert rows["echo"]["url"] == "http://127.0.0.1:8123/fn/echo/"
    assert rows["broken_import"]["host_url"] == "http://broken-import.localhost:8123/"
    assert rows["single"]["reserved_concurrency"] == 2
    assert rows["consume"]["trigger"] == "queue results"
    for address in (rows["echo"]["url"], rows["echo"]["host_url"], rows["echo"]["routes"][0]["url"]):
        assert sample.http("GET", address).status_code == 200
