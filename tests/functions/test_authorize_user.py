"""Signing in, with passwords of this system and of the old one."""

from typing import Any

import bcrypt
import psycopg
import pytest

from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def add_legacy_user(sql: Sql, password: str) -> None:
    old = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    sql.execute("INSERT INTO users (name, email, password_hash) VALUES ('Ada', 'Ada@Example.org', %s)", (old,))


def stored_hash(sql: Sql) -> str:
    row = sql.execute("SELECT password_hash FROM users").fetchone()
    assert row is not None
    return str(row[0])


def test_a_session_is_two_tokens_that_work() -> None:
    person = api.person()
    profile = api.request("get_profile_info", "GET", "/user-info/profile-info", headers=person.headers)
    assert profile.json()["email"] == person.email
    assert api.refresh(person.refresh_token).status == 200


def test_the_answer_is_not_to_be_stored() -> None:
    api.person()
    assert api.sign_in("ada@example.org").headers["cache-control"] == "no-store"


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer() -> None:
    api.person()
    wrong, unknown = api.sign_in("ada@example.org", "not my password"), api.sign_in("eve@example.org")
    assert wrong.status == unknown.status == 400
    assert wrong.json() == unknown.json() == {"detail": "Wrong email or password"}


def test_the_whole_password_counts() -> None:
    api.register("ada@example.org", "x" * 80 + "right")
    assert api.sign_in("ada@example.org", "x" * 80 + "wrong").status == 400
    assert api.sign_in("ada@example.org", "x" * 80 + "right").status == 200


@pytest.mark.parametrize("password", ["", "short", "x" * 1000])
def test_a_password_nobody_could_choose_is_wrong_rather_than_invalid(password: str) -> None:
    api.person()
    assert api.sign_in("ada@example.org", password).status == 400


def test_a_disabled_user_gets_the_answer_of_an_unknown_one(sql: Sql) -> None:
    api.register("ada@example.org")
    sql.execute("UPDATE users SET disabled_at = now()")
    assert api.sign_in("ada@example.org").json() == {"detail": "Wrong email or password"}


@pytest.mark.parametrize("password", ["", "short", "pässwörd" * 8, "long" * 30])
def test_a_password_of_the_old_system_signs_in_and_is_hashed_anew(sql: Sql, password: str) -> None:
    add_legacy_user(sql, password)
    assert api.sign_in("ada@example.org", "wrong " + password).status == 400
    assert stored_hash(sql).startswith("$2b$")
    assert api.sign_in("ada@example.org", password).status == 200
    assert stored_hash(sql).startswith("$argon2id$")
    assert api.sign_in("ada@example.org", password).status == 200


def test_after_the_upgrade_a_password_counts_beyond_its_72nd_byte(sql: Sql) -> None:
    add_legacy_user(sql, "x" * 80)
    assert api.sign_in("ada@example.org", "x" * 80).status == 200
    assert api.sign_in("ada@example.org", "x" * 72 + "other").status == 400


def test_no_secret_reaches_the_log(capsys: pytest.CaptureFixture[str], sql: Sql) -> None:
    person = api.person()
    add = api.sign_in(person.email, "a wrong password")
    refreshed = api.refresh(person.refresh_token).json()
    api.refresh("no-such-refresh-token")
    api.request("get_profile_info", "GET", "/user-info/profile-info", headers={"access-token": "no-such-access-token"})
    printed = "".join(capsys.readouterr())
    secrets = [api.PASSWORD, "a wrong password", "no-such-refresh-token", "no-such-access-token", stored_hash(sql)]
    secrets += [person.access_token, person.refresh_token, *refreshed.values()]
    assert add.status == 400
    assert [secret for secret in secrets if secret in printed] == []
