"""A function's result becomes a response by Lambda's rules, or is called malformed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.events import SHAPES, HttpResponse, MalformedResponse, Shape, decode_response


def decoded(result: Any, shape: Shape = "furl") -> HttpResponse:
    return decode_response(json.dumps(result).encode(), shape)


@pytest.mark.parametrize(
    ("result", "body"),
    [({"a": 1}, b'{"a": 1}'), ([1], b"[1]"), ("Hello", b"Hello"), (None, b"null"), ({"body": "x"}, b'{"body": "x"}')],
)
def test_a_result_without_a_status_is_a_json_body(result: Any, body: bytes) -> None:
    assert decoded(result) == HttpResponse(200, (("content-type", "application/json"),), (), body)


def test_a_full_response_keeps_status_headers_cookies_and_body() -> None:
    response = decoded(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/plain", "X-Count": 3, "x-flag": True, "x-none": None},
            "cookies": ["a=1; Path=/", "b=2"],
            "body": "ü",
        }
    )
    assert response == HttpResponse(
        201,
        (("content-type", "text/plain"), ("x-count", "3"), ("x-flag", "true")),
        ("a=1; Path=/", "b=2"),
        "ü".encode(),
    )


def test_a_base64_body_is_decoded() -> None:
    response = decoded(
        {"statusCode": 200, "headers": {"content-type": "image/png"}, "body": "AAH/", "isBase64Encoded": True}
    )
    assert response.body == b"\x00\x01\xff"


BOTH = {
    "statusCode": 200,
    "headers": {"A": "1", "B": "3"},
    "multiValueHeaders": {"a": ["1", "2"], "Set-Cookie": ["c=1"]},
}


@pytest.mark.parametrize(
    ("shape", "headers", "cookies"),
    [
        ("furl", (("a", "1"), ("b", "3")), ()),
        ("http", (("a", "1"), ("b", "3")), ()),
        ("rest", (("a", "1"), ("a", "2"), ("b", "3")), ("c=1",)),
        ("alb", (("a", "1"), ("b", "3")), ()),
        ("alb-multi", (("a", "1"), ("a", "2")), ("c=1",)),
    ],
)
def test_each_front_reads_its_own_kind_of_headers(
    shape: Shape, headers: tuple[tuple[str, str], ...], cookies: tuple[str, ...]
) -> None:
    response = decoded(BOTH, shape)
    assert (response.headers, response.cookies) == (headers, cookies)


@pytest.mark.parametrize("shape", ["rest", "alb", "alb-multi"])
def test_only_payload_2_takes_a_result_without_a_status(shape: Shape) -> None:
    with pytest.raises(MalformedResponse, match="no statusCode"):
        decoded({"a": 1}, shape)


def test_a_rest_api_takes_no_keys_it_does_not_know() -> None:
    with pytest.raises(MalformedResponse, match="takes no cookies, status"):
        decoded({"statusCode": 200, "cookies": [], "status": 1}, "rest")


@pytest.mark.parametrize(
    ("shape", "media_type"),
    [
        ("furl", "application/json"),
        ("http", "text/plain; charset=utf-8"),
        ("rest", "application/json"),
        ("alb", "application/octet-stream"),
    ],
)
def test_a_body_without_a_type_gets_the_default_one_of_its_front(shape: Shape, media_type: str) -> None:
    response = decoded({"statusCode": "200", "body": "x"}, shape)
    assert (response.status, response.headers) == (200, (("content-type", media_type),))


def test_headers_of_one_connection_are_left_out() -> None:
    response = decoded({"statusCode": 200, "headers": {"Connection": "close", "Transfer-Encoding": "chunked"}})
    assert response.headers == ()


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": None},
        {"statusCode": "two hundred"},
        {"statusCode": 99},
        {"statusCode": 101},
        {"statusCode": 600},
        {"statusCode": True},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a": ["1"]}},
        {"statusCode": 200, "headers": {"a\nb": "1"}},
        {"statusCode": 200, "headers": {"a": "1\r\nset-cookie: x"}},
        {"statusCode": 200, "headers": {"a": "\ud800"}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "cookies": ["a=1\r\nx: y"]},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
        {"statusCode": 200, "body": "\ud800"},
        "\ud800",
    ],
)
def test_a_malformed_response_is_refused(result: Any) -> None:
    with pytest.raises(MalformedResponse):
        decoded(result)


@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b"not json", b"NaN", b'{"statusCode": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedResponse):
        decode_response(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)
KEYS = ["statusCode", "headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded"]


@pytest.mark.parametrize("values", ["1", [["x"]], [{"a": 1}], ["1\nx: y"]])
def test_header_lists_that_are_none_are_refused(values: Any) -> None:
    with pytest.raises(MalformedResponse):
        decoded({"statusCode": 200, "multiValueHeaders": {"a": values}}, "rest")


@given(st.dictionaries(st.sampled_from(KEYS), json_values | st.just(200)), st.sampled_from(SHAPES))
def test_any_result_is_a_response_or_malformed(result: dict[str, Any], shape: Shape) -> None:
    try:
        response = decoded(result, shape)
    except MalformedResponse:
        return
    assert 200 <= response.status <= 599
    assert all(name == name.lower() and "\n" not in value for name, value in response.headers)
