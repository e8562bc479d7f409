"""What Azure hands over, as Facet sees it, and Facet's answers as Azure sends them."""

import azure.functions as func
import pytest
from azure.functions.http import HttpResponseConverter

from facet.adapters import HOP_BY_HOP, azure
from facet.function import Function
from facet.http import Response
from facet.messages import Message

URL = "https://facet.example.org/"


class Invocation:
    """What of Azure's context is read."""

    function_name, invocation_id = "anything", "6f3c0f0e-0000-4000-8000-000000000000"


def native(url: str, *, method: str = "GET", body: bytes = b"", **headers: str) -> func.HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest(method, url, headers=named, params={"a": "2"}, route_params={}, body=body)


def test_a_request_is_read_from_its_url() -> None:
    request = azure.request_from(native("https://facet.example.org/tasks/a%2Fb?a=1&a=2&b=&c=%C3%A4+x", X_Y="z"))
    assert request.path == "/tasks/a%2Fb"
    assert request.query == (("a", "1"), ("a", "2"), ("b", ""), ("c", "ä x"))
    assert request.headers["x-y"] == "z"


def test_a_request_for_the_root_has_a_path() -> None:
    assert azure.request_from(native("https://facet.example.org")).path == "/"


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_what_is_of_one_connection_reaches_neither_the_function_nor_its_client(name: str) -> None:
    request = azure.request_from(func.HttpRequest("GET", URL, headers={name.title(): "x", "X-Other": "1"}, body=b""))
    assert list(request.headers) == ["x-other"]
    answer = azure.reply_to("GET", Response(200, "{}", [(name.title(), "x"), ("x-other", "1")]))
    assert name not in answer.headers
    assert answer.headers["x-other"] == "1"


@pytest.mark.parametrize(
    ("forwarded", "peer", "before"),
    [
        ("198.51.100.7:50114", "198.51.100.7", None),
        ("10.0.0.1, 198.51.100.7:50114", "198.51.100.7", "10.0.0.1"),
        ("203.0.113.9:1, 10.0.0.1:80,[2001:db8::7]:50114", "2001:db8::7", "203.0.113.9, 10.0.0.1"),
        ("2001:db8::7", "2001:db8::7", None),
    ],
)
def test_the_client_is_whom_the_front_end_saw(forwarded: str, peer: str, before: str | None) -> None:
    request = azure.request_from(native("https://facet.example.org/", x_forwarded_for=forwarded))
    assert (request.source_ip, request.headers.get("x-forwarded-for")) == (peer, before)


def test_cookies_stay_apart_and_other_repeated_headers_are_joined() -> None:
    cookies = ["a=1; Path=/; HttpOnly; SameSite=Strict; Max-Age=60", "b=2; Secure"]
    response = Response(200, "{}", [("link", "<1>"), ("link", "<2>"), ("content-type", "application/json")], cookies)
    sent = HttpResponseConverter.encode(azure.reply_to("GET", response), expected_type=None).value
    assert sent["headers"]["link"].value == "<1>,<2>"
    assert [(name, morsel.value) for cookie in sent["cookies"] for name, morsel in cookie.items()] == [
        ("a", "1"),
        ("b", "2"),
    ]
    assert sent["cookies"][0]["a"]["samesite"] == "Strict"


def test_bytes_of_an_answer_stay_what_they_are() -> None:
    response = azure.reply_to("GET", Response(200, b"\xff\0", [("content-type", "image/png")]))
    assert (response.get_body(), response.headers["content-type"]) == (b"\xff\0", "image/png")


def test_an_invocation_has_azures_id() -> None:
    app = Function("hello")

    @app.endpoint("GET", "/hello")
    def hello() -> str:
        return "hello"

    answer = azure.http(app)(native("https://facet.example.org/hello"), Invocation())  # type: ignore[arg-type]  # as much of a context as is read
    assert (answer.status_code, answer.headers["x-request-id"]) == (200, Invocation.invocation_id)


def consuming(*outcomes: Exception | None) -> tuple[Function, list[Message]]:
    app, seen, left = Function("consume"), list[Message](), list(outcomes)

    @app.consumer
    def consume(message: Message) -> None:
        seen.append(message)
        if (outcome := left.pop(0)) is not None:
            raise outcome

    return app, seen


def test_a_message_is_its_payload_and_comes_from_the_results_queue() -> None:
    app, seen = consuming(None)
    azure.consumer(app, pauses=())(b"\xff{}", Invocation())  # type: ignore[arg-type]  # as above
    [message] = seen
    assert (message.body, message.queue, message.message_id) == (b"\xff{}", "generation_task_results", None)
    assert azure.message_from("ä").body == "ä".encode()


def test_a_message_that_fails_is_tried_again_before_azure_counts_it_as_failed() -> None:
    app, seen = consuming(OSError("away"), OSError("away"), None)
    azure.consumer(app, pauses=(0, 0))(b"{}", Invocation())  # type: ignore[arg-type]  # as above
    assert len(seen) == 3


def test_a_message_that_goes_on_failing_is_azures_again() -> None:
    app, seen = consuming(OSError("away"), OSError("still away"))
    with pytest.raises(OSError, match="still away"):
        azure.consumer(app, pauses=(0,))(b"{}", Invocation())  # type: ignore[arg-type]  # as above
    assert len(seen) == 2
