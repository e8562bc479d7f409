"""Uploads: begun, taken once, checked, forgotten."""

import hashlib
from datetime import timedelta
from types import SimpleNamespace
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import api_keys, photos, uploads
from avatars.owners import Owner
from avatars.refusals import UserGone
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together

PHOTO = b"\xff\xd8\xff photo"
NOBODY = SimpleNamespace(user_id=None, api_key_id=None)


def web(user_id: int) -> Owner:
    return SimpleNamespace(user_id=user_id, api_key_id=None)


def key(conn: Connection[DictRow], user_id: int | None) -> Owner:
    created = api_keys.create(conn, name="kiosk", user_id=user_id, lifetime=None)
    return SimpleNamespace(user_id=user_id, api_key_id=created.id)


def begin(conn: Connection[DictRow], owner: Owner, *, size: int = len(PHOTO), sha256: bytes | None = None) -> DictRow:
    return uploads.create(conn, owner=owner, bucket=made.IMAGES, content_type="image/jpeg", size=size, sha256=sha256)


def can_take(conn: Connection[DictRow], owner: Owner, upload: DictRow) -> bool:
    try:
        return bool(uploads.take(conn, owner=owner, upload_id=upload["id"]))
    except uploads.UploadNotFound:
        return False


def test_an_upload_is_taken_as_it_was_begun(conn: Connection[DictRow]) -> None:
    owner, digest = web(made.user(conn)), hashlib.sha256(PHOTO).digest()
    begun = begin(conn, owner, sha256=digest)
    taken = uploads.take(conn, owner=owner, upload_id=str(begun["id"]))
    assert taken == begun
    assert (taken["bucket"], taken["content_type"], taken["size"], taken["sha256"]) == (
        made.IMAGES, "image/jpeg", len(PHOTO), digest,
    )  # fmt: skip
    assert taken["object_key"] == f"uploads/user-{owner.user_id}/{begun['id']}"
    assert taken["expires_at"] - taken["created_at"] == uploads.URL_LIFE
    assert taken["created_at"].microsecond == 0


def test_an_upload_is_taken_by_its_owner_alone(conn: Connection[DictRow]) -> None:
    ada, grace = made.user(conn), made.user(conn, "grace@example.org")
    everybody = {
        "ada": web(ada),
        "ada's key": key(conn, ada),
        "ada's next key": key(conn, ada),
        "grace": web(grace),
        "grace's key": key(conn, grace),
        "a kiosk": key(conn, None),
        "another kiosk": key(conn, None),
        "nobody": NOBODY,
    }
    begun = {name: begin(conn, owner) for name, owner in everybody.items()}
    found = {
        name: {whose for whose, upload in begun.items() if can_take(conn, owner, upload)}
        for name, owner in everybody.items()
    }
    assert found == {
        "ada": {"ada", "ada's key", "ada's next key"},
        "ada's key": {"ada's key", "ada's next key"},
        "ada's next key": {"ada's key", "ada's next key"},
        "grace": {"grace", "grace's key"},
        "grace's key": {"grace's key"},
        "a kiosk": {"a kiosk"},
        "another kiosk": {"another kiosk"},
        "nobody": {"nobody"},
    }


@pytest.mark.parametrize("upload_id", ["", "x", "0", "\0", "é", "../../etc", "5f0e6c1e-8d0b-4a54-9c0e-6d2f6a3f8b11"])
def test_what_names_no_upload_is_not_found(conn: Connection[DictRow], upload_id: str) -> None:
    with pytest.raises(uploads.UploadNotFound):
        uploads.take(conn, owner=NOBODY, upload_id=upload_id)


@pytest.mark.parametrize(("minutes", "there"), [(59, True), (61, False)])
def test_an_upload_can_be_taken_for_an_hour_after_its_url(conn: Connection[DictRow], minutes: int, there: bool) -> None:
    begun = begin(conn, NOBODY)
    conn.execute(
        "UPDATE uploads SET created_at = now() - interval '1 day', expires_at = now() - make_interval(mins => %s)",
        (minutes,),
    )
    assert can_take(conn, NOBODY, begun) is there


def test_an_upload_is_used_once(conn: Connection[DictRow]) -> None:
    begun = begin(conn, NOBODY)
    uploads.mark_used(conn, begun["id"])
    with pytest.raises(uploads.UploadUsed):
        uploads.take(conn, owner=NOBODY, upload_id=begun["id"])
    assert uploads.find(conn, owner=NOBODY, upload_id=begun["id"])["used_at"] is not None


def test_of_several_at_once_one_uses_an_upload(conn: Connection[DictRow], together: Together[None]) -> None:
    begun = begin(conn, NOBODY)

    def use(own: Connection[DictRow]) -> None:
        uploads.mark_used(own, uploads.take(own, owner=NOBODY, upload_id=begun["id"])["id"])

    outcomes = together(use, 5)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["UploadUsed"] * 4


@pytest.mark.parametrize("data", [PHOTO + b".", PHOTO[:-1], b"", b"." * len(PHOTO)])
def test_what_was_put_there_must_be_what_was_announced(conn: Connection[DictRow], data: bytes) -> None:
    begun = begin(conn, NOBODY, sha256=hashlib.sha256(PHOTO).digest())
    uploads.check(begun, PHOTO)
    with pytest.raises(uploads.UploadMismatch):
        uploads.check(begun, data)


def test_without_a_digest_the_length_alone_was_announced(conn: Connection[DictRow]) -> None:
    uploads.check(begin(conn, NOBODY), b"." * len(PHOTO))


def test_no_more_can_be_announced_than_a_photo_may_have(conn: Connection[DictRow]) -> None:
    begin(conn, NOBODY, size=photos.MAX_BYTES)
    with pytest.raises(photos.BodyTooLarge):
        begin(conn, NOBODY, size=photos.MAX_BYTES + 1)


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
def test_an_owner_who_is_gone_begins_nothing(conn: Connection[DictRow], end: LiteralString) -> None:
    owner = web(made.user(conn))
    conn.execute(end)
    with pytest.raises(UserGone):
        begin(conn, owner)


def test_what_is_used_or_over_is_forgotten_and_its_objects_are_to_be_deleted(conn: Connection[DictRow]) -> None:
    fresh, used, old = (begin(conn, NOBODY) for _ in range(3))
    uploads.mark_used(conn, used["id"])
    conn.execute(
        "UPDATE uploads SET created_at = now() - %s, expires_at = now() - %s WHERE id = %s",
        (timedelta(days=1), uploads.GRACE, old["id"]),
    )
    assert uploads.purge(conn) == 2
    assert [row["id"] for row in conn.execute("SELECT id FROM uploads").fetchall()] == [fresh["id"]]
    queued = conn.execute("SELECT bucket, object_key FROM object_deletions").fetchall()
    assert {(row["bucket"], row["object_key"]) for row in queued} == {
        (row["bucket"], row["object_key"]) for row in (used, old)
    }
    assert uploads.purge(conn) == 0


def test_what_is_being_taken_is_left_for_later(conn: Connection[DictRow], together: Together[int]) -> None:
    def purge(own: Connection[DictRow]) -> int:
        own.execute("SET LOCAL lock_timeout = '5s'")
        return uploads.purge(own)

    uploads.mark_used(conn, begin(conn, NOBODY)["id"])
    with conn.transaction():
        conn.execute("SELECT FROM uploads FOR UPDATE")
        assert together(purge, 1) == [0]
    assert together(purge, 1) == [1]
