"""Uploads: begun, taken once, checked, forgotten."""

import hashlib
from datetime import timedelta
from types import SimpleNamespace
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import api_keys, deletions, photos, uploads
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


def age(conn: Connection[DictRow], **past: int) -> None:
    """Let so much time pass after the URLs have ended."""
    conn.execute(
        "UPDATE uploads SET created_at = now() - interval '2 days', expires_at = now() - %s", (timedelta(**past),)
    )


def test_what_was_used_stays_used_when_its_time_is_over(conn: Connection[DictRow]) -> None:
    begun = begin(conn, NOBODY)
    uploads.mark_used(conn, begun["id"])
    age(conn, hours=2)
    with pytest.raises(uploads.UploadUsed):
        uploads.take(conn, owner=NOBODY, upload_id=begun["id"])


def test_what_nobody_used_can_still_be_shown_when_its_time_is_over(conn: Connection[DictRow]) -> None:
    begun = begin(conn, NOBODY)
    age(conn, hours=2)
    assert uploads.find(conn, owner=NOBODY, upload_id=begun["id"])["id"] == begun["id"]
    assert not can_take(conn, NOBODY, begun)


def test_the_object_of_an_unused_upload_leaves_storage_when_nobody_can_need_it(conn: Connection[DictRow]) -> None:
    with conn.transaction():  # as everywhere: one now() for both rows, of which the upload's is cut to the second
        begun = begin(conn, NOBODY)
    [noted] = conn.execute("SELECT * FROM object_deletions").fetchall()
    assert (noted["bucket"], noted["object_key"]) == (begun["bucket"], begun["object_key"])
    assert timedelta() <= noted["due_at"] - begun["expires_at"] - uploads.UNUSED_KEPT < timedelta(seconds=1)


def test_the_object_of_a_used_upload_leaves_at_once_and_again_after_a_late_put(conn: Connection[DictRow]) -> None:
    begun = begin(conn, NOBODY)
    uploads.mark_used(conn, begun["id"])
    [noted] = conn.execute("SELECT *, due_at <= now() AS is_due FROM object_deletions").fetchall()
    assert noted["is_due"]
    assert noted["again_at"] > begun["expires_at"] + timedelta(hours=1)


def test_what_an_erased_user_put_somewhere_leaves_at_once(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    begin(conn, web(user_id))
    uploads.clear_of_user(conn, user_id)
    assert len(deletions.due(conn, limit=9)) == 1


def test_what_is_used_late_leaves_storage_at_once(conn: Connection[DictRow]) -> None:
    begun = begin(conn, NOBODY)
    age(conn, minutes=61)
    uploads.mark_used(conn, begun["id"])
    assert conn.execute("SELECT due_at <= now() AS due FROM object_deletions").fetchall() == [{"due": True}]


def test_an_object_that_can_still_be_used_is_not_due(conn: Connection[DictRow]) -> None:
    assert uploads.UNUSED_KEPT > uploads.GRACE
    assert begin(conn, NOBODY)["used_at"] is None
    assert deletions.due(conn, limit=9) == []
