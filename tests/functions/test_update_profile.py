"""Changing name and e-mail."""

from typing import Any

import bcrypt
import psycopg
import pytest

from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def update(person: api.Person, **body: object) -> api.Answer:
    return api.request("update_profile", "PATCH", "/user-info/profile-info", headers=person.headers, json=body)


def test_the_answer_is_the_profile_as_it_is_now(photo: bytes) -> None:
    person = api.person()
    api.create(person.headers, photo)
    answer = update(person, name="  Ada King ")
    assert answer.status == 200
    assert (answer.json()["name"], answer.json()["email"]) == ("Ada King", person.email)
    shown = api.profile(person.headers).json()
    assert answer.json() | {"image_url": ""} == shown | {"image_url": ""}
    assert answer.json()["image_url"].partition("?")[0] == shown["image_url"].partition("?")[0] != ""


def test_another_email_signs_in_from_now_on() -> None:
    person = api.person()
    answer = update(person, email=" ADA@Example.com", password=api.PASSWORD)
    assert (answer.status, answer.json()["email"]) == (200, "ada@example.com")
    assert api.sign_in("ada@example.com").status == 200
    assert api.sign_in(person.email).status == 400
    assert api.register(person.email).status == 201


@pytest.mark.parametrize("given", [{}, {"password": None}, {"password": ""}, {"password": "not my password"}])
def test_another_email_needs_the_current_password(given: dict[str, object]) -> None:
    person = api.person()
    answer = update(person, name="Eve", email="eve@example.org", **given)
    assert (answer.status, answer.json()["code"]) == (400, "WRONG_PASSWORD")
    assert api.profile(person.headers).json()["name"] == "Ada Lovelace"


def test_a_password_of_the_old_system_will_do_and_is_hashed_anew(sql: Sql) -> None:
    person = api.person()
    old = bcrypt.hashpw(b"short", bcrypt.gensalt(4)).decode()
    sql.execute("UPDATE users SET password_hash = %s", (old,))
    assert update(person, email="ada@example.com", password="short").status == 200
    assert sql.execute("SELECT FROM users WHERE password_hash LIKE '$argon2id$%'").rowcount == 1
    assert api.refresh(person.refresh_token).status == 200


@pytest.mark.parametrize("written", ["eve@example.org", "EVE@Example.Org"])
def test_an_email_of_another_is_taken(written: str) -> None:
    person = api.person()
    api.register("eve@example.org")
    answer = update(person, name="Eve", email=written, password=api.PASSWORD)
    assert (answer.status, answer.json()["code"]) == (409, "EMAIL_TAKEN")
    assert api.profile(person.headers).json() == {"image_url": "", "name": "Ada Lovelace", "email": person.email}


def test_the_own_email_is_not_taken() -> None:
    person = api.person()
    assert update(person, email=person.email.upper(), password=api.PASSWORD).json()["email"] == person.email


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": None},
        {"password": "x"},
        {"name": ""},
        {"name": "x" * 101},
        {"email": "ada"},
        {"name": "Ada", "image_url": "http://example.org/x.jpg"},
        {"name": 7},
    ],
)
def test_what_changes_nothing_or_is_not_understood_is_a_422(body: dict[str, object]) -> None:
    person = api.person()
    answer = update(person, **body)
    assert (answer.status, answer.json()["code"]) == (422, "VALIDATION_FAILED")


def test_guessing_the_password_is_limited_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from facet.settings import settings

    person = api.person()
    monkeypatch.setenv("LIMIT_SIGN_INS_PER_ACCOUNT", "1/60")
    settings.cache_clear()
    guess = {"email": "ada@example.com", "password": "a guess"}
    assert [update(person, **guess).status for _ in range(2)] == [400, 429]
    body = {"current_password": "a guess", "new_password": "x" * 8}
    changed = api.request("change_password", "POST", "/users/password", headers=person.headers, json=body)
    assert changed.status == 429


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
@pytest.mark.parametrize("body", [{"name": "Ada King"}, {"email": "ada@example.com", "password": api.PASSWORD}])
def test_who_is_gone_has_no_profile(sql: Sql, end: Any, body: dict[str, object]) -> None:
    person = api.person()
    sql.execute(end)
    answer = update(person, **body)
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")
