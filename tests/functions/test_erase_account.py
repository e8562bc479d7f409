"""Erasing an account: at once, whole, and whatever else happens."""

import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from avatars import removal
from facet import objects
from facet.settings import settings
from tests.conftest import Settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def erase(headers: dict[str, str]) -> api.Answer:
    return api.request("erase_account", "DELETE", "/user-info", headers=headers)


def stored() -> set[str]:
    return {key for name in buckets() for key in objects.list_keys(name)}


def buckets() -> tuple[str, str]:
    return settings().minio_images_bucket, settings().minio_3d_files_bucket


@pytest.fixture
def empty(clean: Settings) -> None:
    """Buckets without what other tests have left."""
    for name in buckets():
        for key in objects.list_keys(name):
            objects.delete(name, key)


def lived_in(person: api.Person, photo: bytes, model: bytes) -> dict[str, str]:
    """An account with everything an account can have; the UUIDs of its tasks."""
    key = api.new_key(user_email=person.email)
    made = {
        "open": api.create({**person.headers, "idempotency-key": f"of-{person.email}"}, photo),
        "finished": api.create(person.headers, photo),
        "by key": api.create({**key, "idempotency-key": "1"}, photo, integrations=True),
    }
    tasks = {name: answer.json()["request_uuid"] for name, answer in made.items()}
    api.finish(tasks["finished"], model)
    api.retry(person.headers, tasks["finished"])
    announced = {"content_type": "image/jpeg", "size": len(photo), "sha256": hashlib.sha256(photo).hexdigest()}
    for upload in (
        api.begin_upload(person.headers, announced).json(),
        api.begin_upload(key, announced, integrations=True).json(),
    ):
        httpx.put(upload["url"], headers=upload["headers"], content=photo, trust_env=False).raise_for_status()
    api.refresh(api.sign_in(person.email).json()["refresh_token"])
    return tasks


def rows_of(sql: Sql, user_id: int) -> dict[str, int]:
    """How many rows each table has that names its user."""
    tables = sql.execute(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'user_id'"
    ).fetchall()
    counted = {}
    for (table,) in tables:
        query = SQL("SELECT count(*) FROM {} WHERE user_id = %s").format(Identifier(table))
        [(counted[table],)] = sql.execute(query, (user_id,)).fetchall()
    return counted


def mentions(sql: Sql, *words: str) -> set[str]:
    """The tables in which one of these words stands."""
    tables = sql.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {
        table
        for (table,) in tables
        for word in words
        if sql.execute(
            SQL("SELECT FROM {} t WHERE position(%s IN t::text) > 0").format(Identifier(table)), (word,)
        ).rowcount
    }


def test_nothing_of_the_user_is_left_in_any_table(sql: Sql, photo: bytes, model: bytes) -> None:
    ada, eve = api.person(), api.person("eve@example.org")
    lived_in(ada, photo, model)
    lived_in(eve, photo, model)
    before = rows_of(sql, ada.user_id)
    assert min(before.values()) > 0, f"the test leaves out {before}"
    answer = erase(ada.headers)
    assert (answer.status, answer.body) == (204, b"")
    assert set(rows_of(sql, ada.user_id).values()) == {0}
    assert rows_of(sql, eve.user_id) == before
    assert mentions(sql, eve.email) == {"users", "idempotency_keys"}
    assert mentions(sql, ada.email) == set()
    assert sql.execute("SELECT kind, count(*) FROM media_objects GROUP BY kind ORDER BY kind").fetchall() == [
        ("model", 1),
        ("photo", 3),
    ]


@pytest.mark.usefixtures("empty")
def test_the_files_follow_and_those_of_others_stay(sql: Sql, photo: bytes, model: bytes) -> None:
    ada, eve = api.person(), api.person("eve@example.org")
    lived_in(eve, photo, model)
    of_eve = stored()
    sql.execute("UPDATE object_deletions SET due_at = 'infinity'")  # her uploads can still be used
    lived_in(ada, photo, model)
    assert len(stored()) == 2 * len(of_eve)
    erase(ada.headers)
    sql.execute("UPDATE object_deletions SET due_at = now() WHERE due_at < 'infinity'")
    api.on_schedule("purge_expired")
    assert stored() == of_eve


def test_it_works_while_storage_is_away(sql: Sql, photo: bytes, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    person = api.person()
    lived_in(person, photo, model)
    monkeypatch.setenv("MINIO_HOST", "http://127.0.0.1:9")
    settings.cache_clear()
    assert erase(person.headers).status == 204
    assert set(rows_of(sql, person.user_id).values()) == {0}
    assert mentions(sql, f"user-{person.user_id}/") == {"object_deletions"}


@pytest.mark.usefixtures("empty")
def test_a_model_that_comes_late_is_deleted_too(sql: Sql, photo: bytes, model: bytes) -> None:
    person = api.person()
    request_uuid = api.create(person.headers, photo).json()["request_uuid"]
    erase(person.headers)
    api.finish(request_uuid, model)
    sql.execute("UPDATE object_deletions SET due_at = now()")
    api.on_schedule("purge_expired")
    assert stored() == set()


def test_the_access_token_opens_nothing_any_more(photo: bytes, model: bytes) -> None:
    person = api.person()
    tasks = lived_in(person, photo, model)
    erase(person.headers)
    assert erase(person.headers).json()["code"] == "TOKEN_INVALID"
    assert api.profile(person.headers).status == 403
    assert api.history(person.headers) == []
    assert api.read("status", person.headers, tasks["open"]).status == 404
    assert api.read("result", person.headers, tasks["finished"]).status == 404
    assert api.refresh(person.refresh_token).status == 401
    assert api.sign_in(person.email).status == 400
    assert api.register(person.email).status == 201


@pytest.mark.parametrize("idempotent", [{}, {"idempotency-key": "1"}], ids=["plain", "with a key"])
@pytest.mark.parametrize(
    "create",
    [
        lambda headers, photo: api.create(headers, photo),
        lambda headers, photo: api.begin_upload(headers, {"content_type": "image/jpeg", "size": 1}),
        lambda headers, photo: api.request("create_api_key", "POST", "/api-keys", headers=headers, json={"name": "x"}),
    ],
    ids=["task", "upload", "api key"],
)
def test_nothing_is_made_for_who_is_gone(
    photo: bytes, create: Callable[[dict[str, str], bytes], api.Answer], idempotent: dict[str, str]
) -> None:
    person = api.person()
    erase(person.headers)
    answer = create({**person.headers, **idempotent, "accept": "application/problem+json"}, photo)
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")


def test_the_keys_of_the_user_open_nothing_any_more() -> None:
    person = api.person()
    key = api.new_key(user_email=person.email)
    erase(person.headers)
    unknown = "00000000-0000-0000-0000-000000000000"
    assert api.read("status", key, unknown, integrations=True).status == 401


def test_a_disabled_user_erases_nothing(sql: Sql) -> None:
    person = api.person()
    sql.execute("UPDATE users SET disabled_at = now()")
    assert erase(person.headers).status == 403
    assert sql.execute("SELECT FROM users").rowcount == 1


def test_all_of_it_or_nothing_is_erased(sql: Sql, photo: bytes, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    person, remove = api.person(), removal.remove
    lived_in(person, photo, model)
    before = rows_of(sql, person.user_id)

    def fail_after(*given: Any) -> None:
        remove(*given)
        raise RuntimeError

    monkeypatch.setattr(removal, "remove", fail_after)
    assert erase(person.headers).status == 500
    assert rows_of(sql, person.user_id) == before
