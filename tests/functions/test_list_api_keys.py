"""Reading what is known of API keys."""

from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
import pytest

from avatars.users import UserNotFound
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def listed(person: api.Person) -> list[dict[str, Any]]:
    return list(api.request("list_api_keys", "GET", "/api-keys", headers=person.headers).json()["items"])


def make(person: api.Person, name: str, **body: object) -> dict[str, Any]:
    sent = {"name": name, **body}
    made: dict[str, Any] = api.request("create_api_key", "POST", "/api-keys", headers=person.headers, json=sent).json()
    return made


def test_a_user_without_keys_gets_an_empty_list() -> None:
    assert listed(api.person()) == []


def test_all_but_the_secret_is_listed() -> None:
    person = api.person()
    made = make(person, "booth", scopes=["tasks:read"], expires_in_days=3, test_mode=True)
    assert listed(person) == [{name: value for name, value in made.items() if name != "key"}]
    assert set(listed(person)[0]) == {
        "id", "name", "prefix", "scopes", "test_mode", "created_at", "expires_at", "last_used_at", "revoked_at",
    }  # fmt: skip


def test_a_user_sees_their_own_keys_alone() -> None:
    ada, grace = api.person(), api.person("grace@example.org")
    make(ada, "ada's")
    api.new_key()
    api.new_key(user_email=grace.email)
    assert [key["name"] for key in listed(ada)] == ["ada's"]
    assert [key["name"] for key in listed(grace)] == ["kiosk"]


def test_the_last_use_of_a_key_is_listed() -> None:
    person = api.person()
    key = make(person, "booth")["key"]
    api.read("status", {"x-api-key": key}, "x", integrations=True)
    [item] = listed(person)
    assert abs((datetime.fromisoformat(item["last_used_at"]) - datetime.now(UTC)).total_seconds()) < 60


def test_keys_that_work_come_first_then_those_that_ended(sql: Sql) -> None:
    person = api.person()
    for name in ("works", "revoked", "expired", "works too"):
        make(person, name, expires_in_days=1)
    sql.execute("UPDATE api_keys SET revoked_at = now() WHERE name = 'revoked'")
    sql.execute("UPDATE api_keys SET created_at = now() - interval '2 d', expires_at = now() WHERE name = 'expired'")
    assert [key["name"] for key in listed(person)] == ["works too", "works", "expired", "revoked"]
    assert [key["revoked_at"] is None for key in listed(person)] == [True, True, True, False]


def test_of_keys_that_ended_the_last_hundred_are_listed(sql: Sql) -> None:
    person = api.person()
    sql.execute(
        """
        INSERT INTO api_keys (user_id, name, prefix, secret_hash, revoked_at)
        SELECT %s, n::text, 'avk_live_x', sha256(n::text::bytea), now() FROM generate_series(1, 130) n
        """,
        (person.user_id,),
    )
    for _ in range(20):
        make(person, "live")
    names = [key["name"] for key in listed(person)]
    assert names == ["live"] * 20 + [str(number) for number in range(130, 30, -1)]


@pytest.mark.parametrize("end", ["UPDATE users SET disabled_at = now()", "DELETE FROM users"])
def test_who_is_gone_sees_nothing(sql: Sql, end: LiteralString) -> None:
    person = api.person()
    make(person, "booth")
    sql.execute(end)
    answer = api.request("list_api_keys", "GET", "/api-keys", headers=person.headers)
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")


def test_an_operator_sees_whose_keys_there_are() -> None:
    person = api.person()
    make(person, "booth")
    api.new_key()
    items = api.invoke("list_api_keys", {})["items"]
    assert [(item["name"], item["user_email"]) for item in items] == [("booth", person.email), ("kiosk", None)]
    [item] = api.invoke("list_api_keys", {"user_email": person.email.upper()})["items"]
    assert item["name"] == "booth"
    assert "key" not in item
    with pytest.raises(UserNotFound):
        api.invoke("list_api_keys", {"user_email": "nobody@example.org"})
