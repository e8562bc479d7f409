"""Signing out: this session, or all of them."""

from typing import Any

import psycopg
import pytest

from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def sign_out(token: str, everywhere: str | None = None) -> api.Answer:
    query = "" if everywhere is None else f"?everywhere={everywhere}"
    return api.request("sign_out", "POST", f"/users/sign-out{query}", headers={"refresh-token": token})


def is_open(token: str) -> bool:
    return api.refresh(token).status == 200


def test_signing_out_ends_this_session_and_no_other() -> None:
    person = api.person()
    elsewhere = api.sign_in(person.email).json()["refresh_token"]
    answer = sign_out(person.refresh_token)
    assert (answer.status, answer.body) == (204, b"")
    assert not is_open(person.refresh_token)
    assert is_open(elsewhere)


def test_a_used_token_signs_out_too() -> None:
    person = api.person()
    latest = api.refresh(api.refresh(person.refresh_token).json()["refresh_token"]).json()["refresh_token"]
    assert sign_out(person.refresh_token, "false").status == 204
    assert not is_open(latest)


@pytest.mark.parametrize("token", ["", "garbage", "x" * 5000])
def test_who_is_not_signed_in_may_sign_out(token: str) -> None:
    assert sign_out(token).status == 204


def test_signing_out_twice_is_no_error(sql: Sql) -> None:
    person = api.person()
    assert [sign_out(person.refresh_token).status for _ in range(2)] == [204, 204]
    sql.execute("UPDATE refresh_families SET created_at = created_at - interval '31 days', expires_at = now()")
    assert sign_out(person.refresh_token).status == 204


def test_signing_out_everywhere_ends_every_session_of_this_user() -> None:
    ada, eve = api.person(), api.person("eve@example.org")
    elsewhere = api.sign_in(ada.email).json()["refresh_token"]
    assert sign_out(ada.refresh_token, "true").status == 204
    assert [is_open(token) for token in (ada.refresh_token, elsewhere, eve.refresh_token)] == [False, False, True]


def test_a_token_whose_reply_was_lost_still_ends_everything() -> None:
    person = api.person()
    successor = api.refresh(person.refresh_token).json()["refresh_token"]
    assert sign_out(person.refresh_token, "true").status == 204
    assert not is_open(successor)


def test_a_stolen_token_ends_its_own_session_alone() -> None:
    person = api.person()
    elsewhere = api.sign_in(person.email).json()["refresh_token"]
    latest = api.refresh(api.refresh(person.refresh_token).json()["refresh_token"]).json()["refresh_token"]
    answer = sign_out(person.refresh_token, "true")
    assert (answer.status, answer.json()["code"]) == (401, "TOKEN_EXPIRED")
    assert [is_open(latest), is_open(elsewhere)] == [False, True]


@pytest.mark.parametrize("bad", ["", "garbage"])
def test_an_unknown_token_ends_nothing_everywhere(bad: str) -> None:
    person = api.person()
    assert sign_out(bad, "true").status == 401
    assert is_open(person.refresh_token)


def test_a_disabled_user_ends_nothing_everywhere(sql: Sql) -> None:
    person = api.person()
    sql.execute("UPDATE users SET disabled_at = now()")
    assert sign_out(person.refresh_token, "true").status == 401


def test_what_is_neither_true_nor_false_is_a_422() -> None:
    answer = sign_out(api.person().refresh_token, "maybe")
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [error["loc"] for error in answer.json()["errors"]] == [["query", "everywhere"]]


def test_a_missing_token_is_a_422() -> None:
    assert api.request("sign_out", "POST", "/users/sign-out").status == 422
