"""All functions behind one address answer as each of them does behind its own."""

import json
from typing import Any

import pytest

from facet.api import Api, DuplicateRoute
from facet.context import Context
from facet.function import Function
from facet.http import Headers, Request, Response
from tests.layers.shapes import call

pytestmark = pytest.mark.usefixtures("bare_environment")


def function(name: str, *routes: tuple[str, str], kept: bool = False) -> Function:
    """One that says who answered, and with which parameters."""
    app = Function(name)
    for method, path in routes:

        @app.endpoint(method, path, kept=kept)
        def view(request: Request) -> dict[str, Any]:
            return {"by": name, "with": dict(request.path_parameters)}

    return app


@pytest.fixture
def functions() -> list[Function]:
    return [
        function("one", ("GET", "/things/{id}"), ("DELETE", "/things/{id}")),
        function("newest", ("GET", "/things/newest")),
        function("make", ("POST", "/things"), kept=True),
        function("all", ("GET", "/things"), ("OPTIONS", "/options")),
    ]


def ask(api: Api, method: str, path: str, **headers: str) -> Response:
    return api.respond(Request(method, path, headers=Headers(headers.items())), Context("api"))


def body(response: Response) -> Any:
    return json.loads(response.body)


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize(
    ("method", "path", "by"),
    [
        ("GET", "/things/7", "one"),
        ("DELETE", "/things/newest", "one"),
        ("GET", "/things/newest", "newest"),
        ("GET", "/things/%6Eewest", "newest"),
        ("POST", "/things", "make"),
        ("GET", "/things", "all"),
    ],
)
def test_the_function_that_declares_a_route_answers_it(
    functions: list[Function], prefix: str, method: str, path: str, by: str
) -> None:
    assert body(ask(Api(functions), method, f"{prefix}{path}"))["by"] == by


def test_its_answer_is_that_of_its_own_url(functions: list[Function]) -> None:
    api, one = Api(functions), functions[0]
    through, own = ask(api, "GET", "/things/a%2Fb"), call(one, "GET", "/things/a%2Fb")
    assert body(through) == own.json == {"by": "one", "with": {"id": "a/b"}}
    assert {name for name, _ in through.headers} == set(own.headers)


def test_head_is_answered_as_get_without_the_body(functions: list[Function]) -> None:
    get, head = (ask(Api(functions), method, "/things/7") for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, "")
    assert ("content-length", str(len(get.body))) in head.headers


def test_allow_names_the_methods_of_all_functions_with_the_path(functions: list[Function]) -> None:
    response = ask(Api(functions), "PUT", "/api/v1/things")
    assert response.status == 405
    assert ("Allow", "GET, HEAD, POST") in response.headers


@pytest.mark.parametrize("path", ["/", "", "/other", "/things/", "/things/7/8", "/api/v1", "/api/v2/things"])
def test_a_path_that_no_function_has_is_a_404(functions: list[Function], path: str) -> None:
    assert ask(Api(functions), "GET", path).status == 404


def test_what_no_function_answers_has_the_form_that_the_functions_beside_it_give_it(functions: list[Function]) -> None:
    api = Api(functions)
    assert body(ask(api, "GET", "/other")) == {"detail": "Not Found"}  # as in the old system
    assert body(ask(api, "PUT", "/things")) == {"detail": "Method Not Allowed"}
    assert body(ask(api, "PUT", "/things/7"))["code"] == "METHOD_NOT_ALLOWED"
    assert body(ask(api, "GET", "/other", accept="application/problem+json"))["code"] == "NOT_FOUND"


def test_every_answer_has_the_id_of_its_request(functions: list[Function]) -> None:
    for path in ("/things", "/other", "/fn/nobody/"):
        context = Context("api")
        response = Api(functions).respond(Request("GET", path), context)
        assert ("x-request-id", context.aws_request_id) in response.headers
        assert ("x-content-type-options", "nosniff") in response.headers


def test_a_function_is_called_alone_at_its_own_url(functions: list[Function]) -> None:
    api = Api(functions)
    assert body(ask(api, "GET", "/fn/one/things/7"))["by"] == "one"
    assert body(ask(api, "GET", "/fn/one/api/v1/things/7"))["by"] == "one"
    assert body(ask(api, "GET", "/fn/one/things/newest"))["with"] == {"id": "newest"}
    assert ask(api, "GET", "/fn/newest/things/7").status == 404
    assert ("Allow", "POST") in ask(api, "GET", "/fn/make/things").headers
    assert ask(api, "GET", "/fn/one").status == 404


def test_a_url_of_no_function_is_a_404_that_says_so() -> None:
    consumer = Function("consumer")
    consumer.consumer(lambda message: None)
    for name in ("consumer", "nobody"):
        response = ask(Api([consumer]), "POST", f"/fn/{name}/")
        assert (response.status, body(response)["code"]) == (404, "FUNCTION_NOT_FOUND")


@pytest.mark.parametrize("path", ["/things/{id}", "/things/{name}"])
def test_the_same_route_twice_is_an_error_that_names_both(functions: list[Function], path: str) -> None:
    with pytest.raises(DuplicateRoute, match=r"GET /things/\{\w+\} is declared by both one and other"):
        Api([*functions, function("other", ("GET", path))])


def test_the_prefix_is_a_setting(functions: list[Function], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH_PREFIX", "/v2")
    api = Api(functions)
    assert ask(api, "GET", "/v2/things").status == 200
    assert ask(api, "GET", "/api/v1/things").status == 404
