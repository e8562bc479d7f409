"""Requests and their parts."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facet.http import Headers, Request, Response, UploadedFile, match, unchanged


def test_headers_are_found_in_any_case_and_repeated_ones_joined() -> None:
    headers = Headers([("X-A", "1"), ("x-a", "2"), ("Cookie", "a=1"), ("cookie", "b=2")])
    assert headers["x-A"] == "1,2"
    assert headers["COOKIE"] == "a=1; b=2"
    assert "X-a" in headers
    assert headers.get("x-b") is None


def test_a_request_shows_no_secret_when_printed() -> None:
    request = Request("GET", "/", (("code", "s3cret"),), Headers([("access-token", "s3cret")]), b"s3cret")
    assert "s3cret" not in repr(request)
    assert "access-token" in repr(request)
    assert "s3cret" not in repr(UploadedFile("a", None, b"s3cret"))


def test_cookies_are_read_leniently() -> None:
    request = Request("GET", "/", headers=Headers([("cookie", "a=1;b = 2 ; c; =d")]))
    assert request.cookies == {"a": "1", "b": "2", "c": ""}


@pytest.mark.parametrize(
    ("header", "media_type"), [("Application/JSON; charset=utf-8", "application/json"), ("text/html", "text/html")]
)
def test_the_content_type_is_the_media_type_alone(header: str, media_type: str) -> None:
    assert Request("GET", "/", headers=Headers([("Content-Type", header)])).content_type == media_type


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_path_parameter_comes_back_as_it_was_meant(value: str) -> None:
    assert match("/tasks/{uuid}/status", f"/tasks/{quote(value, safe='')}/status") == {"uuid": value}


@pytest.mark.parametrize(
    "path",
    [
        "/tasks",
        "/tasks/",
        "/tasks/a/b",
        "/task/a",
        "tasks/a",
        "//tasks/a",
        "/tasks/%00",
        "/tasks/%ff%fe",
        "/tasks/\ud800",
    ],
)
def test_a_path_that_does_not_fit_has_no_parameters(path: str) -> None:
    assert match("/tasks/{uuid}", path) is None


def test_a_literal_segment_is_compared_decoded() -> None:
    assert match("/tasks/all", "/t%61sks/all") == {}


@pytest.mark.parametrize(
    ("known", "same"), [('"1"', True), ('W/"1"', True), ('"0", "1"', True), ("*", True), ('"2"', False), ("", False)]
)
def test_a_client_that_holds_the_version_is_recognised(known: str, same: bool) -> None:
    request = Request("GET", "/", headers=Headers([("if-none-match", known)]))
    assert unchanged(request, 'W/"1"') is same


def test_a_response_knows_its_headers_in_any_case() -> None:
    response = Response(headers=[("ETag", '"1"')])
    assert response.has("etag")
    assert not response.has("link")
