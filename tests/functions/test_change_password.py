"""Changing the password: who may, and what ends with the old one."""

from typing import Any

import bcrypt
import psycopg
import pytest

from avatars import passwords
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]
NEW = "a stable of better horses"


def change(person: api.Person, current: str = api.PASSWORD, new: str = NEW, **more: object) -> api.Answer:
    body = {"current_password": current, "new_password": new, **more}
    return api.request("change_password", "POST", "/users/password", headers=person.headers, json=body)


def test_the_new_password_signs_in_and_the_old_one_does_not() -> None:
    person = api.person()
    assert change(person).status == 200
    assert api.sign_in(person.email).status == 400
    assert api.sign_in(person.email, NEW).status == 200


def test_every_session_ends_and_the_answer_is_a_new_one() -> None:
    person = api.person()
    elsewhere = api.sign_in(person.email).json()["refresh_token"]
    answer = change(person)
    assert set(answer.json()) == {"access_token", "refresh_token"}
    assert answer.headers["cache-control"] == "no-store"
    assert [api.refresh(token).status for token in (person.refresh_token, elsewhere)] == [401, 401]
    assert api.refresh(answer.json()["refresh_token"]).status == 200
    assert api.profile({"access-token": answer.json()["access_token"]}).status == 200


def test_a_wrong_password_changes_nothing() -> None:
    person = api.person()
    answer = change(person, "not my password")
    assert (answer.status, answer.json()["code"]) == (400, "WRONG_PASSWORD")
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.refresh(person.refresh_token).status == 200
    assert api.sign_in(person.email).status == 200


@pytest.mark.parametrize(("password", "status"), [("x" * 7, 422), ("x" * 8, 200), ("x" * 256, 200), ("x" * 257, 422)])
def test_a_new_password_follows_the_rules_of_registration(password: str, status: int) -> None:
    answer = change(api.person(), new=password)
    assert answer.status == status
    assert password.encode() not in answer.body


def test_the_whole_of_both_passwords_counts() -> None:
    person = api.person()
    assert change(person, new="x" * 80 + "right").status == 200
    assert change(person, "x" * 80 + "wrong").status == 400
    assert change(person, "x" * 80 + "right").status == 200


def test_a_password_of_the_old_system_is_changed_too(sql: Sql) -> None:
    person = api.person()
    old = bcrypt.hashpw(b"short", bcrypt.gensalt(4)).decode()
    sql.execute("UPDATE users SET password_hash = %s", (old,))
    assert change(person, "wrong").status == 400
    assert change(person, "short").status == 200
    assert api.sign_in(person.email, NEW).status == 200
    assert sql.execute("SELECT FROM users WHERE password_hash LIKE '$argon2id$%'").rowcount == 1


def test_guessing_the_current_password_is_limited_per_account(monkeypatch: pytest.MonkeyPatch) -> None:
    person, eve = api.person(), api.person("eve@example.org")
    limit(monkeypatch, "LIMIT_SIGN_INS_PER_ACCOUNT", "2/60")
    assert [change(person, "a guess").status for _ in range(3)] == [400, 400, 429]
    refused = change(person)
    assert (refused.status, refused.json()["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) in range(1, 61)
    assert change(eve).status == 200


def limit(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    from facet.settings import settings

    monkeypatch.setenv(name, value)
    settings.cache_clear()


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
def test_who_is_gone_has_no_password_to_change(sql: Sql, end: Any) -> None:
    person = api.person()
    sql.execute(end)
    answer = change(person)
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")


@pytest.mark.parametrize(
    "body", [{}, {"current_password": api.PASSWORD}, {"current_password": 1, "new_password": NEW}, [], None]
)
def test_a_body_that_is_not_understood_is_a_422(body: object) -> None:
    answer = api.request("change_password", "POST", "/users/password", headers=api.person().headers, json=body)
    assert answer.status == 422


def test_an_unknown_field_is_a_422() -> None:
    assert change(api.person(), old_password="x").status == 422


def test_nobody_changes_a_password_without_a_token() -> None:
    assert api.request("change_password", "POST", "/users/password", json={}).status == 422


def test_a_password_changed_meanwhile_is_a_wrong_one(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    person, hash_of = api.person(), passwords.hash_of

    def overtaken(password: str) -> str:
        sql.execute("UPDATE users SET password_version = password_version + 1")
        return hash_of(password)

    monkeypatch.setattr(passwords, "hash_of", overtaken)
    assert change(person).json()["code"] == "WRONG_PASSWORD"


def test_no_password_reaches_the_log(capsys: pytest.CaptureFixture[str], sql: Sql) -> None:
    person = api.person()
    change(person, "a wrong password")
    change(person, new="x7" * 3)
    pair = change(person).json()
    [stored] = [row[0] for row in sql.execute("SELECT password_hash FROM users").fetchall()]
    printed = "".join(capsys.readouterr())
    secrets = [api.PASSWORD, NEW, "a wrong password", "x7x7", stored, *pair.values()]
    assert [secret for secret in secrets if secret in printed] == []
