"""A session for a user, made by an operator."""

from typing import Any

import psycopg
import pytest

from avatars.users import UserNotFound
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def test_the_session_works_like_any_other() -> None:
    api.register("ada@example.org")
    pair = api.invoke("issue_token", {"email": "ADA@example.org"})
    assert set(pair) == {"access_token", "refresh_token"}
    assert api.profile({"access-token": pair["access_token"]}).json()["email"] == "ada@example.org"
    assert api.refresh(pair["refresh_token"]).status == 200


def test_an_unknown_user_is_named_as_the_cause() -> None:
    with pytest.raises(UserNotFound, match="No user has this email"):
        api.invoke("issue_token", {"email": "nobody@example.org"})


def test_a_disabled_user_gets_no_session(sql: Sql) -> None:
    api.register("ada@example.org")
    sql.execute("UPDATE users SET disabled_at = now()")
    with pytest.raises(UserNotFound):
        api.invoke("issue_token", {"email": "ada@example.org"})
    assert sql.execute("SELECT FROM refresh_families").rowcount == 0
