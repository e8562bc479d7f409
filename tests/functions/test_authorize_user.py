"""Signing in, with passwords of this system and of the old one."""

from dataclasses import replace
from threading import BoundedSemaphore
from typing import Any

import bcrypt
import psycopg
import pytest

from avatars import credentials, passwords
from facet.settings import settings
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


def limit(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    settings.cache_clear()


def test_guesses_are_limited_per_account_however_its_email_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    api.person()
    api.register("eve@example.org")
    limit(monkeypatch, "LIMIT_SIGN_INS_PER_ACCOUNT", "3/60")
    spellings = ["ada@example.org", " ADA@example.org", "\uff41da@example.org", "Ada@Example.Org"]
    assert [api.sign_in(spelling, "a guess").status for spelling in spellings] == [400, 400, 429, 429]  # one was right
    refused = api.sign_in("ada@example.org")
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) in range(1, 61)
    assert refused.headers["ratelimit-policy"] == '"sign-in-account";q=3;w=60'
    assert refused.headers["ratelimit"].startswith('"sign-in-account";r=0;t=')
    assert api.sign_in("eve@example.org").status == 200


def test_an_unknown_account_is_limited_like_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "LIMIT_SIGN_INS_PER_ACCOUNT", "1/60")
    assert [api.sign_in("nobody@example.org").status for _ in range(2)] == [400, 429]


def test_sign_ins_are_limited_per_address(monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "LIMIT_SIGN_INS_PER_ADDRESS", "2/60")
    statuses = [api.sign_in(f"{number}@example.org").status for number in range(3)]
    assert statuses == [400, 400, 429]


def test_an_answer_says_what_is_left() -> None:
    api.register("ada@example.org")
    headers = api.sign_in("ada@example.org").headers
    assert '"sign-in-account";q=10;w=60' in headers["ratelimit-policy"]
    assert '"sign-in-account";r=9;t=60' in headers["ratelimit"]


def test_no_email_is_kept_to_count_by(sql: Sql) -> None:
    api.sign_in("ada@example.org")
    counted = str(sql.execute("SELECT policy, subject FROM rate_limits").fetchall())
    assert "sign-in-account" in counted
    assert "ada" not in counted


def test_while_too_many_passwords_are_checked_a_client_is_asked_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    api.person()
    full = BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr(passwords, "_places", full)
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
    for answer in (api.sign_in("ada@example.org"), api.register("eve@example.org")):
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert answer.detail == "Too many passwords are being checked at once"


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
def test_who_is_gone_while_the_password_is_checked_is_refused(
    sql: Sql, monkeypatch: pytest.MonkeyPatch, end: Any
) -> None:
    api.person()
    authenticate = credentials.authenticate

    def overtaken(*given: Any) -> credentials.Authenticated:
        user = authenticate(*given)
        sql.execute(end)
        return user

    monkeypatch.setattr(credentials, "authenticate", overtaken)
    assert api.sign_in("ada@example.org").json() == {"detail": "Wrong email or password"}


def test_a_sign_in_with_the_password_before_the_last_comes_too_late(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    api.person()
    authenticate = credentials.authenticate
    late = lambda *given: replace(authenticate(*given), password_version=0)  # noqa: E731  # one line is the whole of it
    monkeypatch.setattr(credentials, "authenticate", late)
    assert api.sign_in("ada@example.org").status == 400
    assert sql.execute("SELECT FROM refresh_families").rowcount == 1
