"""Whatever front a request comes through, a function sees the same request and is understood."""

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facet.adapters import HOP_BY_HOP
from facet.events import reply_to, request_from, rest_event, shape
from facet.http import Headers, Request, Response
from tests.layers.shapes import SHAPES, Plain, alb, alb_multi, furl, http_api, rest

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=1, max_size=12)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SEGMENT = st.text("abc%XYZ09-._~", max_size=8).map(lambda text: text.replace("%", "%2F"))
COOKIE = st.builds("{}={}".format, TOKEN, TOKEN)
NOT_OURS = HOP_BY_HOP | {"content-length", "cookie", "x-forwarded-for"}
NAME = TOKEN.map(str.title).filter(lambda name: name.lower() not in NOT_OURS)

PLAIN = st.builds(
    Plain,
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    path=st.lists(SEGMENT, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts)),
    query=st.lists(st.tuples(TEXT, TEXT), max_size=6),
    headers=st.lists(st.tuples(NAME, VALUE), max_size=6),
    body=st.binary(max_size=60),
    source_ip=st.ip_addresses().map(str),
    cookies=st.lists(COOKIE, max_size=3),
)


def seen(event: dict[str, Any]) -> Request:
    """The request without what a front adds to it."""
    request = request_from(event)
    headers = Headers((name, value) for name, value in request.headers.items() if name != "x-forwarded-for")
    return replace(request, headers=headers, request_id="")


def without_repeats(plain: Plain) -> Plain:
    headers = {name.lower(): (name, value) for name, value in plain.headers}
    return replace(plain, query=list(dict(plain.query).items()), headers=list(headers.values()))


@given(PLAIN)
def test_every_front_gives_the_same_request(plain: Plain) -> None:
    requests = {name: seen(SHAPES[name](plain)) for name in SHAPES if name != "alb"}
    assert all(request == requests["furl"] for request in requests.values()), requests


@given(PLAIN.map(without_repeats))
def test_a_balancer_in_single_value_mode_gives_the_same_request_unless_something_is_repeated(plain: Plain) -> None:
    assert seen(alb(plain)) == seen(furl(plain))


@given(PLAIN)
def test_the_request_is_what_was_sent(plain: Plain) -> None:
    request = seen(furl(plain))
    assert (request.method, request.path, request.body) == (plain.method, plain.path, plain.body)
    assert request.source_ip == plain.source_ip
    assert sorted(request.query) == sorted(plain.query)
    assert request.cookies == dict(cookie.split("=") for cookie in plain.cookies)
    for name in dict(plain.headers):
        sent = [value for other, value in plain.headers if other.lower() == name.lower()]
        assert request.headers[name] == ",".join(sent)


@given(PLAIN)
def test_the_event_chalice_reads_carries_the_whole_request(plain: Plain) -> None:
    request = seen(furl(plain))
    again = request_from(rest_event(request, "/{proxy}"))
    added = {} if "accept" in request.headers else {"accept": "*/*"}
    assert again == replace(request, headers=Headers([*request.headers.items(), *added.items()]))


@pytest.mark.parametrize("name", SHAPES)
def test_the_order_of_a_repeated_parameter_is_kept(name: str) -> None:
    plain = Plain(query=[("b", "2"), ("a", "1"), ("b", "1")])
    values = [value for key, value in request_from(SHAPES[name](plain)).query if key == "b"]
    assert values == (["1"] if name == "alb" else ["2", "1"])


@pytest.mark.parametrize("name", SHAPES)
def test_a_comma_in_a_parameter_is_no_separator(name: str) -> None:
    assert request_from(SHAPES[name](Plain(query=[("a", "1,2&3=+")]))).query == (("a", "1,2&3=+"),)


def test_a_stage_is_not_part_of_the_path() -> None:
    assert request_from(http_api(Plain(path="/users/live"))).path == "/users/live"
    assert request_from(furl(Plain(path="/live/users"), stage="live")).path == "/users"
    assert request_from(furl(Plain(path="/$default/users"))).path == "/$default/users"


def test_a_client_cannot_name_the_address_a_balancer_saw() -> None:
    event = alb(Plain(source_ip="203.0.113.9"))
    event["headers"]["x-forwarded-for"] = "10.0.0.1, 203.0.113.9"
    assert request_from(event).source_ip == "203.0.113.9"


@pytest.mark.parametrize("event", [{}, {"requestContext": {}}, {"requestContext": None}, {"detail-type": "x"}])
def test_an_event_of_another_kind_has_no_shape_and_is_refused(event: dict[str, Any]) -> None:
    assert shape(event) is None
    with pytest.raises(ValueError, match="no HTTP event"):
        request_from(event)


def test_maps_that_are_null_are_empty() -> None:
    event = {**rest(Plain()), "headers": None, "multiValueHeaders": None, "body": None}
    request = request_from(event)
    assert (dict(request.headers), request.query, request.body) == ({}, (), b"")


def test_a_body_that_is_not_the_base64_it_claims_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        request_from({**furl(Plain()), "body": "not base64!", "isBase64Encoded": True})


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("body", ["text: ü", b"bytes: \xff\x00"])
def test_text_stays_text_and_bytes_travel_as_base64_whatever_the_content_type(name: str, body: str | bytes) -> None:
    response = Response(200, body, [("CONTENT-TYPE", "image/png")])
    reply = reply_to(SHAPES[name](Plain()), response)
    assert reply["isBase64Encoded"] is isinstance(body, bytes)
    assert (b64decode(reply["body"]) if isinstance(body, bytes) else reply["body"]) == body


LINKS = Response(201, "", [("Link", "</a>"), ("ETag", '"1"'), ("link", "</b>")], ["a=1", "b=2"])


def test_payload_2_joins_repeated_headers_and_lists_cookies() -> None:
    reply = reply_to(furl(Plain()), LINKS)
    assert reply["headers"] == {"link": "</a>,</b>", "etag": '"1"'}
    assert reply["cookies"] == ["a=1", "b=2"]


def test_payload_1_lists_repeated_headers_and_cookies() -> None:
    reply = reply_to(rest(Plain()), LINKS)
    assert reply["headers"] == {"etag": '"1"'}
    assert reply["multiValueHeaders"] == {"link": ["</a>", "</b>"], "set-cookie": ["a=1", "b=2"]}


def test_a_balancer_gets_a_description_and_lists_only_when_it_sent_lists() -> None:
    many = reply_to(alb_multi(Plain()), LINKS)
    assert many["statusDescription"] == "201 Created"
    assert many["multiValueHeaders"]["set-cookie"] == ["a=1", "b=2"]
    assert "headers" not in many
    single = reply_to(alb(Plain()), replace(LINKS, cookies=["a=1"]))
    assert single["headers"] == {"link": "</a>,</b>", "etag": '"1"', "set-cookie": "a=1"}
    assert "multiValueHeaders" not in single


def test_cookies_that_a_balancer_would_lose_are_an_error() -> None:
    with pytest.raises(ValueError, match="multi-value"):
        reply_to(alb(Plain()), LINKS)
