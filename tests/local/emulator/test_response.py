"""A function's result becomes a response by Lambda's rules, or is called malformed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.events import HttpResponse, MalformedResponse, decode_response


def decoded(result: Any) -> HttpResponse:
    return decode_response(json.dumps(result).encode())


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


def test_values_of_a_rest_response_replace_the_single_ones() -> None:
    response = decoded({"statusCode": 200, "headers": {"A": "0", "B": "1"}, "multiValueHeaders": {"a": ["1", "2"]}})
    assert response.headers == (("b", "1"), ("a", "1"), ("a", "2"))


def test_a_body_without_a_type_gets_the_default_one() -> None:
    payload = b'{"statusCode": "200", "body": "x"}'
    assert decode_response(payload, default_type="text/plain").headers == (("content-type", "text/plain"),)


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
        {"statusCode": 200, "multiValueHeaders": {"a": "1"}},
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


@given(st.dictionaries(st.sampled_from(KEYS), json_values | st.just(200)))
def test_any_result_is_a_response_or_malformed(result: dict[str, Any]) -> None:
    try:
        response = decoded(result)
    except MalformedResponse:
        return
    assert 200 <= response.status <= 599
    assert all(name == name.lower() and "\n" not in value for name, value in response.headers)
