"""The purge: what has had its time goes, with its objects; what is in use stays, whatever fails and however often."""

from datetime import timedelta
from functools import partial
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from avatars import purging
from facet import objects
from facet.settings import settings
from functions.purge_expired import handler
from tests.conftest import Settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]

purge = partial(api.on_schedule, "purge_expired")


@pytest.fixture
def person() -> api.Person:
    return api.person()


def count(sql: Sql, table: str) -> int:
    [(number,)] = sql.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table))).fetchall()
    return int(number)


def stored(bucket: str) -> set[str]:
    return set(objects.list_keys(bucket))


def emptied(*buckets: str) -> None:
    for bucket in buckets:
        for key in stored(bucket):
            objects.delete(bucket, key)


@pytest.fixture
def empty(clean: Settings) -> tuple[str, str]:
    """Photos and models: both empty, since tables are emptied without their objects."""
    both = clean["MINIO_IMAGES_BUCKET"], clean["MINIO_3D_FILES_BUCKET"]
    emptied(*both)
    return both


def test_sign_ins_go_a_day_after_their_end(person: api.Person, sql: Sql) -> None:
    for _ in range(3):
        api.sign_in(person.email)
    families = [family for (family,) in sql.execute("SELECT id FROM refresh_families").fetchall()]
    assert len(families) == 4
    ended = "UPDATE refresh_families SET revoked_at = now() - make_interval(hours => %s) WHERE id = %s"
    expired = (
        "UPDATE refresh_families SET created_at = now() - interval '9 days',"
        " expires_at = now() - make_interval(hours => %s) WHERE id = %s"
    )
    for end, hours, family in zip((ended, expired) * 2, (25, 25, 23, 23), families, strict=True):
        sql.execute(end, (hours, family))
    purge()
    left = {family for (family,) in sql.execute("SELECT id FROM refresh_families").fetchall()}
    assert left == set(families[2:])
    assert count(sql, "refresh_tokens") == 2


def test_a_session_in_use_is_left_alone(person: api.Person) -> None:
    purge()
    assert api.refresh(person.refresh_token).status == 200


@pytest.mark.parametrize(
    ("table", "insert"),
    [
        (
            "rate_limits",
            "INSERT INTO rate_limits SELECT 'p', s::text, 1, now() + make_interval(secs => s)"
            " FROM generate_series(-1, 99, 100) s",
        ),
        (
            "erased_tasks",
            "INSERT INTO erased_tasks SELECT gen_random_uuid(), 'b', now() - make_interval(days => d)"
            " FROM generate_series(6, 8, 2) d",
        ),
        (
            "idempotency_keys",
            "INSERT INTO idempotency_keys (operation, key, fingerprint, created_at, locked_until)"
            " SELECT 'o', h::text, sha256('x'), now() - make_interval(hours => h), now()"
            " FROM generate_series(23, 25, 2) h",
        ),
        (
            "uploads",
            "INSERT INTO uploads (bucket, object_key, content_type, size, created_at, expires_at)"
            " SELECT 'input-images', h::text, 'image/jpeg', 9, now() - interval '2 days',"
            " now() - make_interval(hours => h)"
            " FROM generate_series(23, 25, 2) h",
        ),
    ],
)
def test_of_two_rows_the_one_that_has_had_its_time_goes(sql: Sql, table: LiteralString, insert: LiteralString) -> None:
    sql.execute(insert)
    assert count(sql, table) == 2
    purge()
    assert count(sql, table) == 1


def test_an_object_goes_with_its_row(person: api.Person, photo: bytes, sql: Sql, empty: tuple[str, str]) -> None:
    api.create(person.headers, photo)
    [key] = stored(empty[0])
    purge()
    assert stored(empty[0]) == {key}
    sql.execute("DELETE FROM tasks")
    sql.execute("DELETE FROM media_objects")
    purge()
    assert stored(empty[0]) == set()
    assert count(sql, "object_deletions") == 0


def test_an_upload_that_was_used_leaves_storage_and_is_still_known(
    person: api.Person, photo: bytes, sql: Sql, empty: tuple[str, str]
) -> None:
    headers = {**person.headers, "idempotency-key": "1"}
    announced = {"content_type": "image/jpeg", "size": len(photo)}
    upload = api.begin_upload(headers, announced).json()
    httpx.put(upload["url"], headers=upload["headers"], content=photo).raise_for_status()
    assert api.create_of_upload(person.headers, {"upload_id": upload["upload_id"]}).status == 201
    sql.execute("UPDATE object_deletions SET due_at = now()")
    purge()
    assert [key for key in stored(empty[0]) if key.startswith("uploads/")] == []
    again = api.create_of_upload(person.headers, {"upload_id": upload["upload_id"]})
    assert again.status == 409
    assert api.begin_upload(headers, announced).json() == upload


def test_a_storage_that_hangs_holds_up_no_retention(
    sql: Sql, empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []

    def hang(bucket: str, key: str) -> None:
        left.append(count(sql, "erased_tasks"))
        raise objects.Unavailable("it took its time")

    sql.execute(
        "INSERT INTO erased_tasks SELECT gen_random_uuid(), 'b', now() - interval '8 days'"
        " FROM generate_series(1, 1200)"
    )
    note(sql, empty[1], "a")
    monkeypatch.setattr(objects, "delete", hang)
    purge()
    assert left == [0]


def finished(person: api.Person, photo: bytes, model: bytes, sql: Sql, *, days: int) -> str:
    request_uuid = str(api.create(person.headers, photo).json()["request_uuid"])
    api.finish(request_uuid, model)
    end_before(sql, days)
    return request_uuid


def end_before(sql: Sql, days: int) -> None:
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET finished_at = now() - make_interval(days => %s)", (days,))
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")


def keep_for(days: int, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("RETENTION_DAYS", str(days))
    settings.cache_clear()


def test_finished_tasks_are_kept_for_ever_unless_told_otherwise(
    person: api.Person, photo: bytes, model: bytes, sql: Sql
) -> None:
    finished(person, photo, model, sql, days=4000)
    purge()
    assert count(sql, "tasks") == 1


def test_finished_tasks_go_with_photo_and_model_when_their_days_are_over(
    person: api.Person,
    photo: bytes,
    model: bytes,
    sql: Sql,
    empty: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request_uuid = finished(person, photo, model, sql, days=29)
    keep_for(30, monkeypatch)
    purge()
    assert api.status(person.headers, request_uuid) == "SUCCESS"
    end_before(sql, 31)
    purge()
    purge()
    assert api.read("status", person.headers, request_uuid).status == 404
    assert [count(sql, table) for table in ("tasks", "media_objects", "outbox", "object_deletions")] == [0] * 4
    assert [stored(bucket) for bucket in empty] == [set(), set()]


def test_an_open_task_is_never_too_old(
    person: api.Person, photo: bytes, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.create(person.headers, photo)
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET created_at = now() - interval '9 years'")
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
    keep_for(1, monkeypatch)
    purge()
    assert count(sql, "tasks") == 1


def test_a_photo_that_two_tasks_share_goes_with_the_last(
    person: api.Person,
    photo: bytes,
    model: bytes,
    sql: Sql,
    empty: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finished(person, photo, model, sql, days=31)
    sql.execute(
        "INSERT INTO tasks (user_id, client_type, photo_id, output_bucket, retry_of)"
        " SELECT user_id, client_type, photo_id, output_bucket, request_uuid FROM tasks"
    )
    keep_for(30, monkeypatch)
    purge()
    purge()
    assert (count(sql, "tasks"), count(sql, "media_objects")) == (1, 1)
    assert [len(stored(bucket)) for bucket in empty] == [1, 0]
    sql.execute("UPDATE tasks SET status = 'CANCELLED', finished_at = now(), revision = revision + 1")
    end_before(sql, 31)
    purge()
    purge()
    assert [len(stored(bucket)) for bucket in empty] == [0, 0]


def test_a_late_result_of_a_purged_task_is_removed_too(
    person: api.Person,
    photo: bytes,
    model: bytes,
    sql: Sql,
    empty: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request_uuid = finished(person, photo, model, sql, days=1)
    keep_for(1, monkeypatch)
    purge()
    purge()
    api.finish(request_uuid, model)
    purge()
    assert stored(empty[1]) == set()


def note(sql: Sql, bucket: str, *keys: str) -> None:
    for number, key in enumerate(keys):
        sql.execute(
            "INSERT INTO object_deletions (bucket, object_key, due_at)"
            " VALUES (%s, %s, now() - make_interval(secs => %s))",
            (bucket, key, 100 - number),
        )


def test_a_storage_that_is_away_ends_the_batch_and_loses_nothing(
    sql: Sql, empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def away(bucket: str, key: str) -> None:
        tried.append(key)
        raise objects.Unavailable("no storage")

    note(sql, empty[1], "a", "b", "c")
    with monkeypatch.context() as patch:
        patch.setattr(objects, "delete", away)
        purge()
    assert tried == ["a"]
    assert sql.execute("SELECT object_key, failures, last_error FROM object_deletions ORDER BY 1").fetchall() == [
        ("a", 1, "no storage"),
        ("b", 0, None),
        ("c", 0, None),
    ]
    sql.execute("UPDATE object_deletions SET due_at = now()")
    purge()
    assert count(sql, "object_deletions") == 0


def test_one_object_that_cannot_be_deleted_does_not_hold_up_the_others(
    sql: Sql, empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = objects.delete

    def refuse_a(bucket: str, key: str) -> None:
        if key == "a":
            raise ValueError("access denied")
        delete(bucket, key)

    note(sql, empty[1], "a", "b")
    monkeypatch.setattr(objects, "delete", refuse_a)
    purge()
    assert sql.execute("SELECT object_key, failures FROM object_deletions").fetchall() == [("a", 1)]


def test_objects_are_bounded_in_time(sql: Sql, empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            self.now += handler.OBJECT_SECONDS / 2
            return self.now

    note(sql, empty[1], "a", "b", "c")
    monkeypatch.setattr(handler, "time", Clock())
    handler.delete_objects(timedelta())
    assert count(sql, "object_deletions") == 2


def test_more_than_one_batch_goes_at_once(sql: Sql, empty: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    note(sql, empty[1], *map(str, range(7)))
    monkeypatch.setattr(handler, "OBJECTS", 3)
    purge()
    assert count(sql, "object_deletions") == 0


def test_one_step_that_fails_does_not_stop_the_others(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(conn: object, *, limit: int) -> int:
        raise ValueError("a broken step")

    sql.execute("INSERT INTO erased_tasks VALUES (gen_random_uuid(), 'b', now() - interval '8 days')")
    monkeypatch.setattr(purging, "sign_ins", broken)
    purge()
    assert count(sql, "erased_tasks") == 0


def test_a_run_as_if_it_were_later_deletes_what_will_be_due_then(person: api.Person, sql: Sql) -> None:
    sql.execute("UPDATE refresh_families SET revoked_at = now()")
    api.at("purge_expired", timedelta(hours=23))
    assert count(sql, "refresh_families") == 1
    api.at("purge_expired", timedelta(hours=25))
    assert count(sql, "refresh_families") == 0


def test_a_run_of_an_earlier_time_deletes_what_is_due_now(person: api.Person, sql: Sql) -> None:
    sql.execute(
        "UPDATE refresh_families SET revoked_at = now() - interval '25 hours', created_at = now() - interval '2 days'"
    )
    api.at("purge_expired", timedelta(days=-3))
    assert count(sql, "refresh_families") == 0
