"""Who is signed in."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def test_the_profile_shows_the_photo_of_the_first_task(photo: bytes) -> None:
    person = api.person()
    empty = api.profile(person.headers)
    assert empty.json() == {"image_url": "", "name": "Ada Lovelace", "email": "ada@example.org"}
    first = api.create(person.headers, photo).json()["source_file_path"]
    api.create(person.headers, photo)
    shown = api.profile(person.headers).json()["image_url"]
    assert urlsplit(shown).path == urlsplit(first).path
    assert httpx.get(shown, trust_env=False).status_code == 200


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
def test_the_profile_of_who_is_gone_is_an_invalid_token(sql: Sql, end: Any) -> None:
    person = api.person()
    sql.execute(end)
    answer = api.profile(person.headers)
    assert (answer.status, answer.json()) == (403, {"detail": "Invalid token"})
