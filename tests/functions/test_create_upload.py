"""Uploads: begun at the API, filled at the storage."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from facet import objects
from facet.settings import settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def announced(photo: bytes, **more: object) -> dict[str, object]:
    return {"content_type": "image/jpeg", "size": len(photo), **more}


def put(upload: dict[str, Any], photo: bytes) -> int:
    """What a client does with the answer."""
    sent = httpx.request(upload["method"], upload["url"], headers=upload["headers"], content=photo, timeout=60)
    return sent.status_code


@pytest.mark.parametrize("with_digest", [True, False])
def test_a_photo_goes_straight_to_the_storage(sql: Sql, photo: bytes, with_digest: bool) -> None:
    person = api.person()
    digest = {"sha256": hashlib.sha256(photo).hexdigest().upper()} if with_digest else {}
    answer = api.begin_upload(person.headers, announced(photo, **digest))
    assert answer.status == 201
    upload = answer.json()
    assert set(upload) == {"upload_id", "url", "method", "headers", "expires_at"}
    assert ("x-amz-checksum-sha256" in upload["headers"]) is with_digest
    assert put(upload, photo) == 200
    bucket, key = settings().minio_images_bucket, f"uploads/user-{person.user_id}/{upload['upload_id']}"
    assert objects.read(bucket, key, limit=len(photo)) == photo
    assert sql.execute("SELECT bucket, object_key, used_at FROM uploads").fetchall() == [(bucket, key, None)]


def test_nothing_but_the_announced_photo_is_taken(photo: bytes) -> None:
    digest = hashlib.sha256(photo).hexdigest()
    upload = api.begin_upload(api.person().headers, announced(photo, sha256=digest)).json()
    assert put(upload, photo[:-1] + b".") == 400
    assert put({**upload, "headers": {**upload["headers"], "content-type": "image/png"}}, photo) == 403
    assert put({**upload, "headers": {**upload["headers"], "content-length": str(len(photo) - 1)}}, photo[:-1]) == 403
    with pytest.raises(objects.NotFound):
        objects.head(settings().minio_images_bucket, urlsplit(upload["url"]).path.split("/", 2)[2])


def test_the_url_ends_when_the_answer_says(photo: bytes, sql: Sql) -> None:
    person = api.person()
    before = datetime.now(UTC).replace(microsecond=0)
    upload = api.begin_upload({**person.headers, "idempotency-key": "1"}, announced(photo)).json()
    expires_at = datetime.fromisoformat(upload["expires_at"])
    assert upload["expires_at"].endswith("Z")
    assert timedelta(0) <= expires_at - before - timedelta(minutes=10) < timedelta(seconds=30)
    sql.execute(
        "UPDATE uploads SET created_at = created_at - interval '601 s', expires_at = expires_at - interval '601 s'"
    )
    late = api.begin_upload({**person.headers, "idempotency-key": "1"}, announced(photo)).json()
    assert datetime.fromisoformat(late["expires_at"]) < datetime.now(UTC)
    assert put(late, photo) == 403


def test_the_url_carries_the_address_clients_reach(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    monkeypatch.setenv("MINIO_PUBLIC_URL", "https://storage.example.org")
    settings.cache_clear()
    url = api.begin_upload(api.person().headers, announced(photo)).json()["url"]
    assert url.startswith("https://storage.example.org/")


@pytest.mark.parametrize("of_a_user", [True, False])
def test_integrations_upload_with_their_key(sql: Sql, photo: bytes, of_a_user: bool) -> None:
    key = api.new_key(**({"user_email": api.person().email} if of_a_user else {}))
    upload = api.begin_upload(key, announced(photo), integrations=True).json()
    assert put(upload, photo) == 200
    [(folder, user_id)] = sql.execute("SELECT split_part(object_key, '/', 2), user_id FROM uploads").fetchall()
    assert (folder, user_id is not None) == ("key-1", of_a_user)


def test_a_key_that_may_only_read_uploads_nothing(sql: Sql, photo: bytes) -> None:
    refused = api.begin_upload(api.new_key(scopes=["tasks:read"]), announced(photo), integrations=True)
    assert (refused.status, refused.json()["code"]) == (403, "SCOPE_MISSING")
    assert sql.execute("SELECT count(*) FROM uploads").fetchone() == (0,)


def test_who_does_not_say_who_they_are_uploads_nothing(photo: bytes) -> None:
    assert api.begin_upload({}, announced(photo)).status == 422
    assert api.begin_upload({}, announced(photo), integrations=True).status == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"content_type": "image/gif"},
        {"content_type": "image/jpeg\r\nx-amz-acl: public-read"},
        {"content_type": None},
        {"size": 0},
        {"size": -1},
        {"size": "1"},
        {"size": True},
        {"size": 1.5},
        {"size": None},
        {"sha256": "e3b0"},
        {"sha256": "g" * 64},
        {"sha256": "0" * 64 + "\n"},
        {"sha256": ""},
        {"object_key": "../../secrets"},
        {"bucket": "3d-files"},
    ],
)
def test_what_cannot_be_meant_is_refused(sql: Sql, wrong: dict[str, object]) -> None:
    answer = api.begin_upload(api.person().headers, {"content_type": "image/jpeg", "size": 1, **wrong})
    assert (answer.status, answer.json()["code"]) == (422, "VALIDATION_FAILED")
    [fault] = answer.json()["errors"]
    assert fault["loc"] == ["body", *wrong]
    assert sql.execute("SELECT count(*) FROM uploads").fetchone() == (0,)


@pytest.mark.parametrize("size", [10 * 1024 * 1024 + 1, 2**63, 10**30])
def test_more_than_a_photo_may_have_is_too_large(size: int) -> None:
    answer = api.begin_upload(api.person().headers, {"content_type": "image/jpeg", "size": size})
    assert (answer.status, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


def test_as_much_as_a_photo_may_have_can_be_uploaded() -> None:
    photo = bytes(10 * 1024 * 1024)
    assert put(api.begin_upload(api.person().headers, announced(photo)).json(), photo) == 200


def test_the_same_request_with_its_key_begins_one_upload(sql: Sql, photo: bytes) -> None:
    headers = {**api.person().headers, "idempotency-key": "first"}
    first, again = (api.begin_upload(headers, announced(photo)) for _ in range(2))
    assert (first.status, first.body) == (again.status, again.body)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert sql.execute("SELECT count(*) FROM uploads").fetchone() == (1,)


def test_a_digest_is_the_same_in_capitals(photo: bytes) -> None:
    headers, digest = {**api.person().headers, "idempotency-key": "1"}, hashlib.sha256(photo).hexdigest()
    first, again = (api.begin_upload(headers, announced(photo, sha256=written)) for written in (digest, digest.upper()))
    assert (first.status, first.body) == (again.status, again.body)


def test_a_key_belongs_to_one_request_of_one_owner(sql: Sql, photo: bytes) -> None:
    ada, grace = ({**api.person(f"{name}@example.org").headers, "idempotency-key": "1"} for name in ("ada", "grace"))
    api.begin_upload(ada, announced(photo))
    other = api.begin_upload(ada, announced(photo + b"."))
    assert (other.status, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert "idempotent-replayed" not in api.begin_upload(grace, announced(photo)).headers
    assert sql.execute("SELECT count(*) FROM uploads").fetchone() == (2,)


def test_a_refused_upload_leaves_its_key_free(photo: bytes) -> None:
    headers = {**api.person().headers, "idempotency-key": "1"}
    assert api.begin_upload(headers, {"content_type": "image/jpeg", "size": 10**9}).status == 413
    assert api.begin_upload(headers, announced(photo)).status == 201


def test_an_upload_that_is_gone_is_not_begun_again_with_its_key(sql: Sql, photo: bytes) -> None:
    headers = {**api.person().headers, "idempotency-key": "1"}
    api.begin_upload(headers, announced(photo))
    sql.execute("DELETE FROM uploads")
    answer = api.begin_upload(headers, announced(photo))
    assert (answer.status, answer.json()["code"]) == (404, "UPLOAD_NOT_FOUND")


def test_uploads_are_counted_per_owner(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    monkeypatch.setenv("LIMIT_UPLOADS_PER_OWNER", "2/60")
    settings.cache_clear()
    ada, grace = api.person(), api.person("grace@example.org")
    answers = [api.begin_upload(ada.headers, announced(photo)) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 429]
    assert answers[0].headers["ratelimit-policy"] == '"uploads";q=2;w=60'
    assert answers[2].json()["code"] == "RATE_LIMITED"
    assert api.begin_upload(grace.headers, announced(photo)).status == 201


def test_a_request_that_is_only_repeated_counts_once(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    monkeypatch.setenv("LIMIT_UPLOADS_PER_OWNER", "2/60")
    settings.cache_clear()
    headers = api.person().headers
    repeated = [api.begin_upload({**headers, "idempotency-key": "1"}, announced(photo)).status for _ in range(5)]
    assert repeated == [201] * 5
    assert [api.begin_upload(headers, announced(photo)).status for _ in range(2)] == [201, 429]


@pytest.mark.parametrize("end", ["disable", "erase"])
def test_who_is_gone_uploads_nothing(sql: Sql, photo: bytes, end: str) -> None:
    person = api.person()
    sql.execute("DELETE FROM users" if end == "erase" else "UPDATE users SET disabled_at = now()")
    answer = api.begin_upload(person.headers, announced(photo))
    assert (answer.status, answer.json()["code"]) == (403, "TOKEN_INVALID")


def test_every_upload_has_a_place_of_its_own(photo: bytes) -> None:
    person = api.person()
    uploads = [api.begin_upload(person.headers, announced(photo)).json() for _ in range(3)]
    assert len({urlsplit(upload["url"]).path for upload in uploads}) == 3
    assert all(uuid.UUID(upload["upload_id"]).version == 4 for upload in uploads)


@pytest.mark.parametrize(("origin", "allowed"), [("http://localhost:5173", True), ("https://evil.example", False)])
def test_a_browser_may_upload_from_an_allowed_origin_alone(photo: bytes, origin: str, allowed: bool) -> None:
    body = announced(photo, sha256=hashlib.sha256(photo).hexdigest())
    upload = api.begin_upload(api.person().headers, body).json()
    names = ",".join(sorted(name for name in upload["headers"] if name != "content-length"))  # a browser's own affair
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": names}
    preflight = httpx.options(upload["url"], headers={"Origin": origin, **asked})
    sent = httpx.put(upload["url"], headers={**upload["headers"], "Origin": origin}, content=photo)
    assert (preflight.status_code == 200) is allowed
    for answer in (preflight, sent):
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
