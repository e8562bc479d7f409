"""Refresh tokens: rotated, forgiving a lost reply, merciless with a stolen one."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def refreshed(token: str) -> str:
    answer = api.refresh(token)
    assert answer.status == 200
    return str(answer.json()["refresh_token"])


def assert_refused(token: str) -> None:
    answer = api.refresh(token)
    assert answer.status == 401
    assert answer.json() == {"detail": "Token expired"}


def test_a_pair_is_exchanged_for_another_that_works() -> None:
    person = api.person()
    answer = api.refresh(person.refresh_token)
    assert set(answer.json()) == {"access_token", "refresh_token"}
    assert answer.json()["refresh_token"] != person.refresh_token
    assert api.history({"access-token": answer.json()["access_token"]}) == []
    refreshed(answer.json()["refresh_token"])


def test_a_lost_reply_is_given_again_with_the_same_token() -> None:
    person = api.person()
    assert refreshed(person.refresh_token) == refreshed(person.refresh_token)


def test_after_the_grace_a_used_token_ends_the_family(sql: Sql) -> None:
    person = api.person()
    successor = refreshed(person.refresh_token)
    sql.execute("UPDATE refresh_tokens SET used_at = used_at - interval '16 seconds'")
    assert_refused(person.refresh_token)
    assert_refused(successor)


def test_a_used_token_whose_successor_was_used_ends_the_family_at_once() -> None:
    person = api.person()
    latest = refreshed(refreshed(person.refresh_token))
    assert_refused(person.refresh_token)
    assert_refused(latest)


def test_a_theft_ends_one_session_and_leaves_the_others() -> None:
    person = api.person()
    elsewhere = api.sign_in(person.email).json()["refresh_token"]
    refreshed(refreshed(person.refresh_token))
    assert_refused(person.refresh_token)
    refreshed(elsewhere)


def test_a_session_ends_in_time_however_often_it_is_refreshed(sql: Sql) -> None:
    person = api.person()
    token = refreshed(person.refresh_token)
    [(family, latest)] = sql.execute(
        """
        SELECT f.expires_at, max(t.expires_at)
        FROM refresh_families f JOIN refresh_tokens t ON t.family = f.id GROUP BY 1
        """
    ).fetchall()
    assert latest == family
    sql.execute("UPDATE refresh_families SET created_at = created_at - interval '31 days', expires_at = now()")
    assert_refused(token)


def test_a_disabled_user_refreshes_nothing(sql: Sql) -> None:
    person = api.person()
    sql.execute("UPDATE users SET disabled_at = now()")
    assert_refused(person.refresh_token)


@pytest.mark.parametrize("bad", ["", "garbage", "a.b.c", "x" * 5000])
def test_any_bad_token_gets_the_same_answer(bad: str) -> None:
    assert_refused(bad)


def test_an_access_token_refreshes_nothing() -> None:
    assert_refused(api.person().access_token)


def test_a_missing_header_is_a_422_that_names_it() -> None:
    answer = api.request("refresh_token", "GET", "/users/refresh-token")
    assert answer.status == 422
    assert [(error["type"], error["loc"]) for error in answer.detail] == [("missing", ["header", "refresh-token"])]


def test_only_hashes_are_stored(sql: Sql) -> None:
    person = api.person()
    token = refreshed(person.refresh_token)
    rows = str(sql.execute("SELECT t::text, f::text FROM refresh_tokens t JOIN refresh_families f ON true").fetchall())
    assert person.refresh_token not in rows
    assert token not in rows


def by_body(token: object, **more: object) -> api.Answer:
    body = {"refresh_token": token, **more}
    return api.request("refresh_token", "POST", "/users/refresh-token", json=body)


BOTH_WAYS = pytest.mark.parametrize("present", [api.refresh, by_body], ids=["GET", "POST"])


def test_the_token_may_come_in_the_body() -> None:
    person = api.person()
    answer = by_body(person.refresh_token)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert api.profile({"access-token": answer.json()["access_token"]}).status == 200
    refreshed(answer.json()["refresh_token"])


@BOTH_WAYS
def test_a_lost_reply_is_given_again_either_way(present: Callable[[str], api.Answer]) -> None:
    person = api.person()
    assert present(person.refresh_token).json()["refresh_token"] == refreshed(person.refresh_token)


@BOTH_WAYS
def test_a_theft_is_noticed_either_way(present: Callable[[str], api.Answer]) -> None:
    person = api.person()
    latest = refreshed(refreshed(person.refresh_token))
    assert present(person.refresh_token).status == 401
    assert present(latest).status == 401


@pytest.mark.parametrize("bad", ["", "garbage", "x" * 5000])
def test_a_bad_token_in_the_body_is_a_problem(bad: str) -> None:
    answer = by_body(bad)
    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
    assert (answer.json()["code"], answer.detail) == ("TOKEN_EXPIRED", "Token expired")


@pytest.mark.parametrize("body", [{}, {"refresh_token": None}, {"refresh_token": 7}, {"refresh-token": "x"}, [], None])
def test_a_body_without_a_token_is_a_422(body: object) -> None:
    headers = {"refresh-token": api.person().refresh_token}  # the body alone counts
    answer = api.request("refresh_token", "POST", "/users/refresh-token", headers=headers, json=body)
    assert (answer.status, answer.json()["code"]) == (422, "VALIDATION_FAILED")


def test_an_unknown_field_is_a_422() -> None:
    assert by_body(api.person().refresh_token, everywhere=True).status == 422
