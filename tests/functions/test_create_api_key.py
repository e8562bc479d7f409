"""Making API keys, and what a key is worth."""

from typing import Any, LiteralString

import psycopg
import pytest

from avatars.users import UserNotFound
from facet.problems import Problem
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def opens(key: str) -> bool:
    unknown = "00000000-0000-0000-0000-000000000000"
    return api.read("status", {"x-api-key": key}, unknown, integrations=True).status == 404


def test_a_key_is_shown_once_and_only_its_hash_is_stored(sql: Sql) -> None:
    created = api.invoke("create_api_key", {"name": "kiosk"})
    assert set(created) == {"id", "key", "prefix"}
    assert created["key"].startswith(created["prefix"] + "_")
    assert len(created["key"]) - len(created["prefix"]) > 43
    [row] = sql.execute("SELECT k::text FROM api_keys k").fetchall()
    assert created["prefix"] in row[0]
    assert created["key"] not in row[0]
    assert opens(created["key"])


def test_a_changed_key_opens_nothing() -> None:
    key = api.new_key()["x-api-key"]
    assert not opens(key[:-1])
    assert not opens(key + "x")
    assert not opens(key.swapcase())


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE api_keys SET revoked_at = now()",
        "UPDATE api_keys SET created_at = now() - interval '2 days', expires_at = now()",
    ],
)
def test_a_revoked_or_expired_key_opens_nothing(sql: Sql, end: LiteralString) -> None:
    key = api.new_key(expires_in_days=1)["x-api-key"]
    assert opens(key)
    sql.execute(end)
    assert not opens(key)


def test_the_key_of_a_disabled_user_opens_nothing(sql: Sql) -> None:
    key = api.new_key(user_email=api.person().email.upper())["x-api-key"]
    sql.execute("UPDATE users SET disabled_at = now()")
    assert not opens(key)


def test_the_last_use_is_noted_at_most_once_a_minute(sql: Sql) -> None:
    key = api.new_key()["x-api-key"]
    opens(key)
    [first] = sql.execute("SELECT last_used_at FROM api_keys").fetchall()
    opens(key)
    assert sql.execute("SELECT last_used_at FROM api_keys").fetchall() == [first]
    sql.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    opens(key)
    [(later,)] = sql.execute("SELECT last_used_at FROM api_keys").fetchall()
    assert later > first[0]


def test_an_unknown_user_is_named_as_the_cause(sql: Sql) -> None:
    with pytest.raises(UserNotFound, match="No user has this email"):
        api.new_key(user_email="nobody@example.org")
    assert sql.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


@pytest.mark.parametrize("event", [{}, {"name": ""}, {"name": "x", "expires_in_days": 0}, {"name": "x", "admin": True}])
def test_an_event_that_is_not_understood_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(Problem):
        api.invoke("create_api_key", event)
