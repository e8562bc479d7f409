"""Ending API keys."""

from typing import Any, LiteralString

import psycopg
import pytest

from avatars.api_keys import ApiKeyNotFound
from tests.contract import fronts
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def make(person: api.Person) -> dict[str, Any]:
    made: dict[str, Any] = api.request(
        "create_api_key", "POST", "/api-keys", headers=person.headers, json={"name": "booth"}
    ).json()
    return made


def revoke(person: api.Person, key_id: object) -> api.Answer:
    return api.request("revoke_api_key", "DELETE", f"/api-keys/{key_id}", headers=person.headers)


def opens(key: str) -> bool:
    unknown = "00000000-0000-0000-0000-000000000000"
    return api.read("status", {"x-api-key": key}, unknown, integrations=True).status == 404


def test_a_revoked_key_stops_working_at_once() -> None:
    person = api.person()
    key, other = make(person), make(person)
    answer = revoke(person, key["id"])
    assert (answer.status, answer.body) == (204, b"")
    assert not opens(key["key"])
    assert opens(other["key"])


def test_revoking_twice_changes_nothing(sql: Sql) -> None:
    person = api.person()
    key = make(person)
    revoke(person, key["id"])
    first = sql.execute("SELECT revoked_at FROM api_keys").fetchone()
    assert revoke(person, key["id"]).status == 204
    assert sql.execute("SELECT revoked_at FROM api_keys").fetchone() == first


def test_what_a_revoked_key_made_stays(photo: bytes) -> None:
    person = api.person()
    key = make(person)
    request_uuid = api.create({"x-api-key": key["key"]}, photo, integrations=True).json()["request_uuid"]
    revoke(person, key["id"])
    assert api.status(person.headers, request_uuid) == "PENDING"


def test_another_users_key_is_not_found() -> None:
    ada, grace = api.person(), api.person("grace@example.org")
    key, kiosk = make(ada), api.invoke("create_api_key", {"name": "kiosk"})
    refused = [revoke(grace, key["id"]), revoke(grace, kiosk["id"]), revoke(grace, 10**6)]
    assert {(answer.status, answer.json()["code"]) for answer in refused} == {(404, "API_KEY_NOT_FOUND")}
    assert len({answer.json()["detail"] for answer in refused}) == 1
    assert opens(key["key"])
    assert opens(kiosk["key"])


@pytest.mark.parametrize(
    "garbage",
    [
        *("x", "0", "-1", "+1", "1.0", "1e0", "%201", "1_0", "0x1", "%EF%BC%91", 2**63, 10**30, "9" * 2000),
        pytest.param("1%0A", marks=fronts.not_through("gcf", reason="functions-framework answers 404 to a newline")),
    ],
)
def test_what_is_no_id_is_not_found(garbage: object) -> None:
    person = api.person()
    make(person)
    answer = revoke(person, garbage)
    assert (answer.status, answer.json()["code"]) == (404, "API_KEY_NOT_FOUND")


@pytest.mark.parametrize("end", ["UPDATE users SET disabled_at = now()", "DELETE FROM users"])
def test_who_is_gone_revokes_nothing(sql: Sql, end: LiteralString) -> None:
    person = api.person()
    key = make(person)
    sql.execute(end)
    answer = revoke(person, key["id"])
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")
    assert sql.execute("SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL").fetchone() == (0,)


def test_an_operator_revokes_any_key() -> None:
    keys = [make(api.person()), api.invoke("create_api_key", {"name": "kiosk"})]
    for key in keys:
        api.invoke("revoke_api_key", {"id": key["id"]})
        assert not opens(key["key"])
    for absent in (10**6, 10**30, -1):
        with pytest.raises(ApiKeyNotFound):
            api.invoke("revoke_api_key", {"id": absent})
