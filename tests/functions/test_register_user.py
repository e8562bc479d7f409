"""Registration: who may, under which e-mail, with which password."""

from typing import Any

import psycopg
import pytest

from facet.settings import settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def test_a_new_user_gets_an_integer_id() -> None:
    answer = api.register("ada@example.org")
    assert answer.status == 201
    assert set(answer.json()) == {"user_id"}
    assert type(answer.json()["user_id"]) is int


def test_the_password_is_stored_as_argon2id_only(sql: Sql) -> None:
    api.register("ada@example.org")
    [stored] = sql.execute("SELECT password_hash FROM users").fetchall()
    assert stored[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("written", ["ADA@example.org", " ada@Example.Org\t", "\uff41\uff44\uff41@example.org"])
def test_an_email_is_one_however_it_is_written(sql: Sql, written: str) -> None:
    assert api.register(written).status == 201
    assert sql.execute("SELECT email FROM users").fetchall() == [("ada@example.org",)]
    again = api.register("ada@example.org")
    assert again.status == 409
    assert again.json() == {"detail": "User with this email already exists"}


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.org", "ada@localhost", "ada@facet.local", "a b@example.org", "a" * 250 + "@x.org"],
)
def test_what_is_no_email_is_a_422_that_names_the_field(email: str) -> None:
    answer = api.register(email)
    assert answer.status == 422
    assert [error["loc"] for error in answer.detail] == [["body", "email"]]


@pytest.mark.parametrize("email", ["ada+avatar@example.org", "o'neil@mail.example.org", "ädä@exämple.org"])
def test_tags_and_other_alphabets_are_emails(email: str) -> None:
    assert api.register(email).status == 201
    assert api.sign_in(email).status == 200


@pytest.mark.parametrize(("password", "status"), [("x" * 7, 422), ("x" * 8, 201), ("x" * 256, 201), ("x" * 257, 422)])
def test_a_password_has_8_to_256_characters(password: str, status: int) -> None:
    answer = api.register("ada@example.org", password)
    assert answer.status == status
    assert password.encode() not in answer.body


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\0b"])
def test_a_name_has_1_to_100_characters(name: str) -> None:
    assert api.register("ada@example.org", name=name).status == 422


def test_a_password_and_an_email_that_are_no_texts_are_a_422(sql: Sql) -> None:
    body = {"name": "Ada", "email": {"$ne": 1}, "password": ["x" * 8]}
    assert api.request("register_user", "POST", "/users/registration", json=body).status == 422
    assert sql.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_registrations_are_limited_per_address(monkeypatch: pytest.MonkeyPatch, sql: Sql) -> None:
    monkeypatch.setenv("LIMIT_REGISTRATIONS_PER_ADDRESS", "2/3600")
    settings.cache_clear()
    assert [api.register(f"{number}@example.org").status for number in range(3)] == [201, 201, 429]
    refused = api.register("ada@example.org")
    assert refused.detail.startswith("At most 2 such requests in 3600 seconds")
    assert int(refused.headers["retry-after"]) in range(3500, 3601)
    assert refused.headers["ratelimit-policy"] == '"registration";q=2;w=3600'
    assert sql.execute("SELECT count(*) FROM users").fetchone() == (2,)
