"""Making API keys, and what a key is worth."""

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest

from avatars.users import UserNotFound
from facet.problems import Problem
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]
UNKNOWN = "00000000-0000-0000-0000-000000000000"


def opens(key: str) -> bool:
    return api.read("status", {"x-api-key": key}, UNKNOWN, integrations=True).status == 404


def make(person: api.Person, **body: object) -> api.Answer:
    return api.request("create_api_key", "POST", "/api-keys", headers=person.headers, json={"name": "booth", **body})


def test_a_key_is_shown_once_and_only_its_hash_is_stored(sql: Sql) -> None:
    created = api.invoke("create_api_key", {"name": "kiosk"})
    assert created["key"].startswith(created["prefix"] + "_")
    assert len(created["key"]) - len(created["prefix"]) > 43
    [row] = sql.execute("SELECT k::text FROM api_keys k").fetchall()
    assert created["prefix"] in row[0]
    assert created["key"] not in row[0]
    assert opens(created["key"])


def test_a_user_makes_a_key_of_their_own(sql: Sql) -> None:
    person = api.person()
    answer = make(person, name="  Photo booth ")
    created = answer.json()
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    assert {name: created[name] for name in ("name", "scopes", "test_mode", "expires_at", "last_used_at")} == {
        "name": "Photo booth",
        "scopes": ["tasks:read", "tasks:write"],
        "test_mode": False,
        "expires_at": None,
        "last_used_at": None,
    }
    assert created["key"].startswith("avk_live_")
    assert sql.execute("SELECT id, user_id FROM api_keys").fetchall() == [(created["id"], person.user_id)]
    assert opens(created["key"])


def test_a_key_ends_when_its_answer_says(sql: Sql) -> None:
    created = make(api.person(), expires_in_days=30).json()
    left = datetime.fromisoformat(created["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert opens(created["key"])
    sql.execute("UPDATE api_keys SET created_at = created_at - interval '30 days', expires_at = now()")
    assert not opens(created["key"])


@pytest.mark.parametrize("by", ["user", "operator"])
def test_a_test_key_says_so(sql: Sql, by: str) -> None:
    created = make(api.person(), test_mode=True).json()
    if by == "operator":
        created = api.invoke("create_api_key", {"name": "kiosk", "test_mode": True})
    assert created["test_mode"] is True
    assert created["key"].startswith(created["prefix"])
    assert created["prefix"].startswith("avk_test_")
    assert sql.execute("SELECT test_mode FROM api_keys WHERE id = %s", (created["id"],)).fetchone() == (True,)
    assert opens(created["key"])


def test_a_key_may_do_what_its_scopes_say(photo: bytes) -> None:
    keys = {
        scope: {"x-api-key": make(api.person(f"{number}@example.org"), scopes=[scope]).json()["key"]}
        for number, scope in enumerate(("tasks:read", "tasks:write"))
    }
    refused = api.create(keys["tasks:read"], photo, integrations=True)
    assert refused.status == 403
    assert "tasks:write" in refused.detail
    created = api.create(keys["tasks:write"], photo, integrations=True)
    assert created.status == 201
    unread = api.read("status", keys["tasks:write"], created.json()["request_uuid"], integrations=True)
    assert unread.status == 403
    assert "tasks:read" in unread.detail
    assert api.read("status", keys["tasks:read"], UNKNOWN, integrations=True).status == 404


def test_a_scope_is_given_once_however_often_it_is_asked_for() -> None:
    assert make(api.person(), scopes=["tasks:write", "tasks:write"]).json()["scopes"] == ["tasks:write"]


def test_a_refusal_for_want_of_a_scope_has_a_code() -> None:
    headers = {**api.new_key(scopes=["tasks:write"]), "accept": "application/problem+json"}
    assert api.read("status", headers, UNKNOWN, integrations=True).json()["code"] == "SCOPE_MISSING"


def test_a_key_can_be_replaced_without_a_gap(photo: bytes) -> None:
    person = api.person()
    old, new = ({"x-api-key": make(person).json()["key"]} for _ in range(2))
    request_uuid = api.create(old, photo, integrations=True).json()["request_uuid"]
    assert api.read("status", new, request_uuid, integrations=True).status == 200
    [_, first] = api.request("list_api_keys", "GET", "/api-keys", headers=person.headers).json()["items"]
    api.request("revoke_api_key", "DELETE", f"/api-keys/{first['id']}", headers=person.headers)
    assert api.read("status", old, request_uuid, integrations=True).status == 401
    assert api.read("status", new, request_uuid, integrations=True).status == 200


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


@pytest.mark.parametrize("end", ["UPDATE users SET disabled_at = now()", "DELETE FROM users"])
def test_the_key_of_a_user_who_is_gone_opens_nothing(sql: Sql, end: LiteralString) -> None:
    key = api.new_key(user_email=api.person().email.upper())["x-api-key"]
    assert opens(key)
    sql.execute(end)
    assert not opens(key)


@pytest.mark.parametrize("end", ["UPDATE users SET disabled_at = now()", "DELETE FROM users"])
def test_who_is_gone_makes_no_key(sql: Sql, end: LiteralString) -> None:
    person = api.person()
    sql.execute(end)
    answer = make(person)
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")
    assert sql.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


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


def test_a_user_has_at_most_twenty_keys_that_work(sql: Sql) -> None:
    ada, grace = api.person(), api.person("grace@example.org")
    keys = [make(ada, expires_in_days=1) for _ in range(20)]
    assert {answer.status for answer in keys} == {201}
    refused = make(ada)
    assert (refused.status, refused.json()["code"]) == (409, "TOO_MANY_API_KEYS")
    assert make(grace).status == 201
    api.request("revoke_api_key", "DELETE", f"/api-keys/{keys[0].json()['id']}", headers=ada.headers)
    assert [make(ada).status, make(ada).status] == [201, 409]
    sql.execute(
        "UPDATE api_keys SET created_at = now() - interval '2 days', expires_at = now() WHERE id = %s",
        (keys[1].json()["id"],),
    )
    assert [make(ada).status, make(ada).status] == [201, 409]


def test_an_operator_is_held_to_the_number_too() -> None:
    person = api.person()
    for _ in range(20):
        make(person)
    with pytest.raises(Exception, match="at most 20"):
        api.new_key(user_email=person.email)
    assert opens(api.new_key()["x-api-key"])


def test_a_secret_is_never_given_twice() -> None:
    person = api.person()
    again = {**person.headers, "idempotency-key": "1"}
    answers = [
        api.request("create_api_key", "POST", "/api-keys", headers=again, json={"name": "x"}).json() for _ in range(2)
    ]
    assert answers[0]["id"] != answers[1]["id"]
    assert answers[0]["key"] != answers[1]["key"]


def test_an_unknown_user_is_named_as_the_cause(sql: Sql) -> None:
    with pytest.raises(UserNotFound, match="No user has this email"):
        api.new_key(user_email="nobody@example.org")
    assert sql.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


WRONG: list[dict[str, object]] = [
    {"name": ""},
    {"name": " "},
    {"name": "x" * 101},
    {"name": "a\0b"},
    {"expires_in_days": 0},
    {"expires_in_days": 3651},
    {"expires_in_days": "7"},
    {"scopes": []},
    {"scopes": ["users:write"]},
    {"scopes": "tasks:read"},
    {"test_mode": "yes"},
    {"admin": True},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_an_event_that_is_not_understood_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Problem):
        api.invoke("create_api_key", {"name": "x", **wrong})


@pytest.mark.parametrize("wrong", [*WRONG, {"user_email": "grace@example.org"}, {"user_id": 2}])
def test_a_body_that_is_not_understood_is_refused(sql: Sql, wrong: dict[str, object]) -> None:
    answer = make(api.person(), **wrong)
    assert (answer.status, answer.json()["code"]) == (422, "VALIDATION_FAILED")
    assert sql.execute("SELECT count(*) FROM api_keys").fetchone() == (0,)


def test_a_key_makes_no_keys() -> None:
    answer = api.request("create_api_key", "POST", "/api-keys", headers=api.new_key(), json={"name": "x"})
    assert answer.status == 422
    assert answer.json()["errors"][0]["loc"] == ["header", "access-token"]
