"""Failures as answers in two forms."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facet.http import Headers, Request
from facet.problems import Invalid, NotFound, Problem, accepts_problems


class Full(Problem):
    status, code, title = 507, "STORE_FULL", "The store is full"
    headers = {"Retry-After": "9"}  # noqa: RUF012  as authors of problems write it


class TakenError(Exception):
    """As the business declares its refusals: it knows nothing of this layer."""

    status, code, title = 409, "TAKEN", "It is taken"


def request(accept: str | None = None) -> Request:
    headers = Headers([("accept", accept)] if accept is not None else [])
    return Request("GET", "/users/7", headers=headers, request_id="r-1")


def body(problem: Problem, accept: str | None = None, *, kept: bool = False) -> Any:
    return json.loads(problem.render(request(accept), kept=kept).body)


def test_problem_details_say_what_happened_where_and_whether_to_repeat() -> None:
    response = Full("No room for 3 MB").render(request(), kept=False)
    assert response.status == 507
    assert ("content-type", "application/problem+json") in response.headers
    assert ("cache-control", "no-store") in response.headers
    assert ("Retry-After", "9") in response.headers
    assert json.loads(response.body) == {
        "type": "/problems/store-full",
        "title": "The store is full",
        "status": 507,
        "detail": "No room for 3 MB",
        "instance": "/users/7",
        "code": "STORE_FULL",
        "request_id": "r-1",
        "retryable": True,
    }


def test_the_old_form_is_the_detail_alone() -> None:
    response = Full("No room").render(request(), kept=True)
    assert json.loads(response.body) == {"detail": "No room"}
    assert ("content-type", "application/json") in response.headers


def test_a_client_of_a_kept_route_may_ask_for_problem_details() -> None:
    assert body(NotFound(), "application/problem+json", kept=True)["code"] == "NOT_FOUND"


def test_a_problem_without_a_detail_says_its_title() -> None:
    assert body(NotFound())["detail"] == "Not Found"


@pytest.mark.parametrize(("text", "detail"), [("e@x.org is taken", "e@x.org is taken"), ("", "It is taken")])
def test_a_declared_exception_becomes_a_problem(text: str, detail: str) -> None:
    problem = Problem.of(TakenError(text))
    assert problem.status == 409
    assert body(problem)["code"] == "TAKEN"
    assert body(problem, kept=True) == {"detail": detail}


def test_a_declared_exception_may_bring_headers() -> None:
    error = TakenError("later")
    error.headers = {"Retry-After": "3"}  # type: ignore[attr-defined]  # optional by contract
    problem = Problem.of(error)
    assert problem.headers == {"Retry-After": "3"}
    assert body(problem)["retryable"] is True


@pytest.mark.parametrize(
    ("status", "code"), [(404, "NOT_FOUND"), (429, "TOO_MANY_REQUESTS"), (415, "UNSUPPORTED_MEDIA_TYPE")]
)
def test_an_error_of_chalice_is_named_after_its_status(status: int, code: str) -> None:
    assert body(Problem.of_status(status, "text"))["code"] == code


def test_invalid_values_are_listed_in_both_forms() -> None:
    errors = [{"type": "missing", "loc": ["header", "access-token"], "msg": "Field required"}]
    assert body(Invalid.missing("header", "access-token"), kept=True) == {"detail": errors}
    details = body(Invalid.missing("header", "access-token"))
    assert details["errors"] == errors
    assert details["detail"] == "header.access-token: Field required"


def test_headers_of_a_class_are_not_shared_between_its_instances() -> None:
    one, two = Full(headers={"X": "1"}), Full()
    assert one.headers == {"Retry-After": "9", "X": "1"}
    assert two.headers == {"Retry-After": "9"}


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", False),
        ("application/problem+json", True),
        ("APPLICATION/Problem+JSON", True),
        ("application/json, application/problem+json", True),
        ("application/json;q=0.9, application/problem+json", True),
        ("application/json, application/problem+json;q=0.5", False),
        ("application/problem+json;q=0", False),
        ("application/problem+json ; q=0.1", True),
        ("application/problem+json;charset=utf-8;q=0.3, */*", True),
        ("application/problem+json;q=nan", False),
        ("application/problem+json;q=high", False),
    ],
)
def test_problem_details_are_for_those_who_name_and_do_not_prefer_less(accept: str, wanted: bool) -> None:
    assert accepts_problems(accept) is wanted


@given(st.text())
def test_no_accept_header_is_an_error(accept: str) -> None:
    assert accepts_problems(accept) in (True, False)
