"""The gateway answers for the functions as AWS does, and refuses what no function should see."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.events import HttpResponse
from local.gateway import cors
from local.gateway.incoming import Incoming
from local.gateway.routes import RouteTable
from local.sandbox.pool import Bounds
from local.template.spec import Cors, Route
from tests.local.emulator.lab import Lab, lab


def event(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["event"]


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an error, which always says why."""
    body = response.json()
    assert body["message"]
    assert body["detail"]
    assert response.headers["x-request-id"]
    return response.status_code, body["code"]


def test_a_route_sends_its_key_and_parameters(sample: Lab) -> None:
    sent = event(sample.http("GET", "/items/7?a=1&a=2"))
    assert (sent["version"], sent["routeKey"], sent["pathParameters"]) == ("2.0", "GET /items/{id}", {"id": "7"})
    assert sent["rawQueryString"] == "a=1&a=2"
    assert sent["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


def test_a_rest_route_sends_payload_1(sample: Lab) -> None:
    sent = event(sample.http("GET", "/old/x"))
    assert (sent["resource"], sent["httpMethod"], sent["pathParameters"]) == ("/old/{name}", "GET", {"name": "x"})


@pytest.mark.parametrize(
    "url", ["/fn/echo/my/path?x=1", "http://echo.localhost:8080/my/path?x=1", "http://ECHO.localhost/my/path?x=1"]
)
def test_a_function_url_has_two_addresses(sample: Lab, url: str) -> None:
    sent = event(sample.http("GET", url))
    assert (sent["routeKey"], sent["rawPath"], sent["rawQueryString"]) == ("$default", "/my/path", "x=1")


def test_a_name_with_underscores_has_dashes_in_its_host(sample: Lab) -> None:
    assert problem(sample.http("GET", "http://broken-import.localhost/")) == (502, "FUNCTION_ERROR")


def test_the_bare_address_of_a_function_is_its_root(sample: Lab) -> None:
    assert event(sample.http("GET", "/fn/echo"))["rawPath"] == "/"


@pytest.mark.parametrize(
    "url", ["/fn/internal/", "/fn/nothing/", "http://internal.localhost/", "http://nothing.localhost/"]
)
def test_a_function_without_a_url_cannot_be_reached(sample: Lab, url: str) -> None:
    assert problem(sample.http("POST", url)) == (404, "FUNCTION_NOT_FOUND")


def test_percent_encoding_reaches_the_event_untouched(sample: Lab) -> None:
    sent = event(sample.http("GET", "/files/a%2Fb/%C3%BC%20x?q=%2F+%20"))
    assert sent["rawPath"] == "/files/a%2Fb/%C3%BC%20x"
    assert sent["pathParameters"] == {"path": "a%2Fb/%C3%BC%20x"}
    assert sent["rawQueryString"] == "q=%2F+%20"


def test_bytes_that_belong_in_no_url_are_encoded() -> None:
    async def nothing() -> dict[str, Any]:
        return {}

    scope = {"headers": [], "raw_path": b'/\xc3\xbc"<%2F>', "query_string": b"q=\xff"}
    request = Incoming(scope, nothing)
    assert request.path == "/%C3%BC%22%3C%2F%3E"


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/items", "GET /items"),
        ("GET", "/items/special", "GET /items/special"),
        ("GET", "/items/%73pecial", "GET /items/special"),
        ("GET", "/items/other", "GET /items/{id}"),
        ("HEAD", "/items", "GET /items"),
        ("DELETE", "/files/a/b/c/", "ANY /files/{path+}"),
    ],
)
def test_a_static_part_beats_a_parameter(method: str, path: str, key: str, sample: Lab) -> None:
    match = RouteTable(sample.template.routes).match(method, path)
    assert match is not None
    assert match.route is not None
    assert match.route.key == key


@pytest.mark.parametrize("path", ["/items/", "/items//", "//items", "/files/", "/files", "/items/a/b", "", "/"])
def test_another_path_is_another_path_also_with_a_trailing_slash(path: str, sample: Lab) -> None:
    assert RouteTable(sample.template.routes).match("GET", path) is None


def test_a_default_route_takes_what_no_other_takes() -> None:
    table = RouteTable([Route("rest", "ANY", "$default"), Route("one", "GET", "/one")])
    assert [
        (found := table.match("GET", path)) and found.route and found.route.function for path in ("/one", "/", "/x/y")
    ] == [
        "one",
        "rest",
        "rest",
    ]


def test_an_unknown_path_is_not_found(sample: Lab) -> None:
    response = sample.http("GET", "/nothing")
    assert response.status_code == 404
    assert response.json() == {"message": "Not Found", "detail": "Not Found", "code": "NOT_FOUND"}


def test_a_known_path_with_another_method_names_those_it_has(sample: Lab) -> None:
    response = sample.http("PUT", "/items")
    assert problem(response) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, HEAD, POST"


def test_an_error_is_problem_details_for_who_accepts_them(sample: Lab) -> None:
    response = sample.http("GET", "/nothing", headers={"accept": "application/problem+json"})
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not Found",
        "code": "NOT_FOUND",
        "instance": "/nothing",
        "request_id": response.headers["x-request-id"],
    }


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "echo.localhost.evil"])
def test_an_unknown_host_is_refused(sample: Lab, host: str) -> None:
    assert problem(sample.http("GET", "/items", headers={"host": host})) == (421, "HOST_UNKNOWN")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "localhost."])
def test_loopback_names_are_served(sample: Lab, host: str) -> None:
    assert sample.http("GET", "/items", headers={"host": host}).status_code == 200


def test_a_request_needs_one_host(sample: Lab) -> None:
    assert problem(sample.http("GET", "/items", headers=[("host", "localhost"), ("host", "x")])) == (
        400,
        "HOST_INVALID",
    )


def test_a_configured_host_is_served(tmp_path: Path) -> None:
    with lab(tmp_path, hosts=["Avatars.Example"]) as sample:
        assert sample.http("GET", "http://avatars.example/items").status_code == 200
        assert sample.http("GET", "http://avatars.example/_local/functions").status_code == 404


def test_headers_show_who_asked_and_what_the_gateway_added(sample: Lab) -> None:
    given = {"x-forwarded-for": "198.51.100.1", "connection": "close", "x-a": "1", "content-type": "application/json"}
    headers = event(sample.http("POST", "/items", headers=given, content=b"{}"))["headers"]
    assert headers["x-forwarded-for"] == "198.51.100.1, 127.0.0.1"
    assert (headers["x-forwarded-proto"], headers["x-a"], headers["content-length"]) == ("http", "1", "2")
    assert headers["x-amzn-trace-id"].startswith("Root=1-")
    assert "connection" not in headers


def test_bodies_reach_the_function_whole(sample: Lab) -> None:
    multipart = sample.http("POST", "/items", files={"photo": ("me.jpg", b"\xff\xd8\xff", "image/jpeg")})
    assert event(multipart)["isBase64Encoded"] is True
    assert event(sample.http("POST", "/items", json={"a": "ü"}))["body"] == '{"a":"ü"}'
    assert "body" not in event(sample.http("POST", "/items"))


def responded(sample: Lab, result: Any, method: str = "POST") -> httpx.Response:
    return sample.http(method, "/fn/echo/?respond", json=result)


def test_a_response_is_sent_as_the_function_gives_it(sample: Lab) -> None:
    response = responded(
        sample,
        {
            "statusCode": 201,
            "headers": {"X-A": "1", "Content-Length": "999"},
            "cookies": ["a=1", "b=2"],
            "body": "done",
        },
    )
    assert (response.status_code, response.text, response.headers["x-a"]) == (201, "done", "1")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert response.headers["content-length"] == "4"


def test_head_is_answered_without_a_body_but_with_its_length(sample: Lab) -> None:
    response = responded(sample, {"statusCode": 200, "body": "four"}, "HEAD")
    assert (response.content, response.headers["content-length"]) == (b"", "4")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(sample: Lab, status: int) -> None:
    response = responded(sample, {"statusCode": status, "body": "x"})
    assert (response.status_code, response.content) == (status, b"")
    assert "content-length" not in response.headers


@pytest.mark.parametrize("result", [{"statusCode": "no"}, {"statusCode": 200, "headers": {"a\r\nb": "c"}}])
def test_a_malformed_response_is_a_bad_gateway(sample: Lab, result: Any) -> None:
    response = responded(sample, result)
    assert problem(response) == (502, "RESPONSE_MALFORMED")
    assert response.json()["message"] == "Internal Server Error"


def test_a_failing_function_is_a_bad_gateway_without_its_secrets(sample: Lab) -> None:
    response = sample.http("GET", "/fn/trouble/?raise_error")
    assert problem(response) == (502, "FUNCTION_ERROR")
    assert response.json()["message"] == "Internal Server Error"
    assert "LookupError" in response.json()["detail"]
    assert "nothing found" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("function", "detail"),
    [("broken_import", "No module named 'a_package_that_does_not_exist'"), ("broken_syntax", "handler.py, line 1")],
)
def test_a_function_that_cannot_be_imported_tells_its_developer(sample: Lab, function: str, detail: str) -> None:
    response = sample.http("GET", f"/fn/{function}/")
    assert problem(response) == (502, "FUNCTION_ERROR")
    assert detail in response.json()["detail"]


@pytest.mark.parametrize("kind", ["end_process", "give_bytes", "give_nan", "close_streams", "raise_exit"])
def test_no_handler_hurts_the_gateway(sample: Lab, kind: str) -> None:
    assert sample.http("GET", f"/fn/trouble/?{kind}").status_code in (200, 502)
    assert sample.http("GET", "/fn/trouble/?log").text == "ok"


def test_a_timeout_is_a_bad_gateway_as_on_function_urls(sample: Lab) -> None:
    assert problem(sample.http("GET", "/fn/trouble/?loop")) == (502, "FUNCTION_TIMEOUT")


def many(sample: Lab, count: int, url: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(sample.app), base_url="http://localhost") as client:
            return await asyncio.gather(*(client.get(url) for _ in range(count)))

    return sample.run(ask())


def test_beyond_reserved_concurrency_requests_are_throttled(sample: Lab) -> None:
    responses = many(sample, 5, "/fn/single/?0.3")
    assert sorted(response.status_code for response in responses) == [200, 200, 429, 429, 429]
    throttled = next(response for response in responses if response.status_code == 429)
    assert problem(throttled) == (429, "TOO_MANY_REQUESTS")
    assert throttled.headers["retry-after"] == "1"


def test_a_queue_that_is_full_is_unavailable_for_a_while(tmp_path: Path) -> None:
    with lab(tmp_path, bounds=Bounds(per_function=1, wait_seconds=0.1)) as sample:
        responses = many(sample, 2, "/fn/slow/?0.5")
        assert sorted(response.status_code for response in responses) == [200, 503]
        busy = next(response for response in responses if response.status_code == 503)
        assert problem(busy) == (503, "BUSY")
        assert busy.headers["retry-after"] == "5"


def test_a_body_over_the_limit_is_refused_with_the_limit(sample: Lab) -> None:
    response = sample.http("POST", "/items", content=b"x" * 11_600_000)
    assert problem(response) == (413, "BODY_TOO_LARGE")
    assert response.json()["detail"] == "The request body is larger than the 11534336 bytes a function takes."
    assert response.headers["connection"] == "close"
    assert sample.http("POST", "/fn/tick/", content=b"x" * 11_000_000).status_code in (200, 404)


def test_lambdas_limit_counts_the_event(tmp_path: Path) -> None:
    with lab(tmp_path, limits="lambda") as sample:
        photo = {"content-type": "image/png"}
        assert sample.http("POST", "/items", content=b"x" * 4_500_000, headers=photo).status_code == 200
        response = sample.http("POST", "/items", content=b"x" * 5_000_000, headers=photo)
        assert problem(response) == (413, "BODY_TOO_LARGE")


def test_headers_over_the_limit_are_refused(sample: Lab) -> None:
    assert problem(sample.http("GET", "/items", headers={"x-a": "y" * 40_000})) == (431, "HEADERS_TOO_LARGE")


ORIGIN = {"origin": "http://localhost:5173"}
PREFLIGHT = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "x-token"}


def test_a_preflight_is_answered_by_the_gateway(sample: Lab) -> None:
    before = len(sample.log("echo")) if (sample.folder / "logs/echo.log").exists() else 0
    response = sample.http("OPTIONS", "/items", headers=PREFLIGHT)
    assert response.status_code == 204
    assert {name: value for name, value in response.headers.items() if name != "x-request-id"} == {
        "vary": "Origin",
        "access-control-allow-origin": "http://localhost:5173",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-request-id",
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "content-type, x-token",
        "access-control-max-age": "600",
    }
    assert (len(sample.log("echo")) if before else 0) == before


def test_a_preflight_of_another_origin_gets_no_permission(sample: Lab) -> None:
    response = sample.http("OPTIONS", "/items", headers={**PREFLIGHT, "origin": "http://evil.example"})
    assert response.status_code == 204
    assert not any(name.startswith("access-control-") for name in response.headers)


def test_a_function_url_has_cors_of_its_own(sample: Lab) -> None:
    response = sample.http("OPTIONS", "http://echo.localhost/", headers={**PREFLIGHT, "origin": "http://any.example"})
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-headers"] == "x-token"
    assert "POST" in response.headers["access-control-allow-methods"]


def test_any_origin_may_call_and_none_with_credentials() -> None:
    any_origin, asked = Cors(("*", "http://app.test"), allow_credentials=True), {"origin": "http://app.test"}
    answers = [
        cors.preflight(any_origin, asked),
        cors.fixed_preflight(replace(any_origin, allow_origins=("*",)), {"GET"}),
        cors.with_origin(HttpResponse(200), any_origin, "http://app.test"),
    ]
    for answer in answers:
        assert ("access-control-allow-origin", "*") in answer.headers
        assert "access-control-allow-credentials" not in dict(answer.headers)


def test_what_the_template_says_of_origins_replaces_what_the_function_says(sample: Lab) -> None:
    result = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "http://mine.example", "Vary": "Accept"}}
    response = sample.http("POST", "/fn/echo/?respond", json=result, headers=ORIGIN)
    assert response.headers.get_list("access-control-allow-origin") == ["*"]
    assert response.headers["vary"] == "Accept, Origin"
    assert "access-control-allow-origin" not in responded(sample, result).headers


@pytest.mark.parametrize(("method", "url"), [("PUT", "/items"), ("POST", "/trouble")])
def test_errors_can_be_read_by_the_page_that_caused_them(sample: Lab, method: str, url: str) -> None:
    response = sample.http(method, url, headers=ORIGIN, content=b"x")
    assert response.status_code >= 400
    assert response.headers["access-control-allow-origin"] == "http://localhost:5173"


def test_a_url_for_signed_requests_takes_no_others(tmp_path: Path) -> None:
    with lab(tmp_path, edit=lambda text: text.replace("{ AuthType: NONE }", "{ AuthType: AWS_IAM }")) as sample:
        assert problem(sample.http("GET", "/fn/slow/")) == (403, "SIGNATURE_REQUIRED")


def test_the_manifest_lists_the_functions_for_this_machine_only(sample: Lab) -> None:
    functions = {one["name"]: one for one in sample.http("GET", "/_local/functions").json()["functions"]}
    assert functions["echo"]["url"] == "http://localhost/fn/echo/"
    assert functions["echo"]["host_url"] == "http://echo.localhost/"
    assert {"method": "GET", "path": "/items", "url": "http://localhost/items"} in functions["echo"]["routes"]
    assert set(functions["echo"]["sandboxes"]) == {"idle", "sandboxes", "waiting"}
    assert functions["internal"]["url"] is None
    assert functions["consume"]["queues"] == ["results"]
    assert "rate(1 minute)" in functions["tick"]["schedules"]
    assert event(sample.http("GET", "http://echo.localhost/_local/functions"))["rawPath"] == "/_local/functions"

    async def from_elsewhere() -> httpx.Response:
        transport = httpx.ASGITransport(sample.app, client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/_local/functions")

    assert sample.run(from_elsewhere()).status_code == 404


def test_every_request_is_one_line_for_its_developer(sample: Lab) -> None:
    sample.recycle("echo")
    sample.lines.clear()
    sample.http("GET", "/items?token=secret")
    sample.http("GET", "/items")
    sample.http("GET", "/nothing")
    assert [(line.method, line.path, line.status, line.function, line.cold) for line in sample.lines] == [
        ("GET", "/items", 200, "echo", True),
        ("GET", "/items", 200, "echo", False),
        ("GET", "/nothing", 404, None, False),
    ]
    assert all(line.duration_ms > 0 for line in sample.lines)


def test_the_request_id_is_one_and_the_same_everywhere(sample: Lab) -> None:
    response = sample.http("GET", "/items")
    body = json.loads(response.content)
    assert response.headers["x-request-id"] == body["request_id"] == body["event"]["requestContext"]["requestId"]
    assert body["environment"]["_X_AMZN_TRACE_ID"] == body["event"]["headers"]["x-amzn-trace-id"]
