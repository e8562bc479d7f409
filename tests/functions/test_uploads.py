"""Who may make a task of an upload, and until when."""

import hashlib
from typing import Any

import httpx
import psycopg

from facet import objects
from facet.settings import settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]
AGED = """
    UPDATE uploads SET created_at = created_at - make_interval(mins => %(minutes)s),
                       expires_at = expires_at - make_interval(mins => %(minutes)s)
"""
Headers = dict[str, str]


def begun(headers: Headers, photo: bytes, *, integrations: bool = False) -> dict[str, Any]:
    body = {"content_type": "image/jpeg", "size": len(photo), "sha256": hashlib.sha256(photo).hexdigest()}
    upload: dict[str, Any] = api.begin_upload(headers, body, integrations=integrations).json()
    return upload


def uploaded(headers: Headers, photo: bytes, *, integrations: bool = False) -> str:
    """The id of an upload whose photo is in place."""
    upload = begun(headers, photo, integrations=integrations)
    httpx.put(upload["url"], headers=upload["headers"], content=photo).raise_for_status()
    return str(upload["upload_id"])


def create(headers: Headers, upload_id: str, *, integrations: bool = False) -> api.Answer:
    asks = {**headers, "accept": "application/problem+json"}
    return api.create_of_upload(asks, {"upload_id": upload_id}, integrations=integrations)


def refusal(answer: api.Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


def test_a_user_makes_no_task_of_what_another_uploaded(sql: Sql, photo: bytes) -> None:
    ada, grace = api.person().headers, api.person("grace@example.org").headers
    upload_id = uploaded(ada, photo)
    assert refusal(create(grace, upload_id)) == (404, "UPLOAD_NOT_FOUND")
    assert refusal(create(api.new_key(), upload_id, integrations=True)) == (404, "UPLOAD_NOT_FOUND")
    assert create(ada, upload_id).status == 201


def test_a_key_makes_no_task_of_what_another_uploaded(photo: bytes) -> None:
    kiosk, other = api.new_key(), api.new_key()
    upload_id = uploaded(kiosk, photo, integrations=True)
    assert refusal(create(other, upload_id, integrations=True)) == (404, "UPLOAD_NOT_FOUND")
    assert refusal(create(api.person().headers, upload_id)) == (404, "UPLOAD_NOT_FOUND")
    assert create(kiosk, upload_id, integrations=True).status == 201


def test_a_key_that_is_replaced_leaves_its_uploads_to_the_next(photo: bytes) -> None:
    person = api.person()
    old, new = (api.new_key(user_email=person.email) for _ in range(2))
    upload_id = uploaded(old, photo, integrations=True)
    assert create(new, upload_id, integrations=True).status == 201


def test_an_upload_is_no_longer_there_an_hour_after_its_url(sql: Sql, photo: bytes) -> None:
    headers = api.person().headers
    upload_id = uploaded(headers, photo)
    sql.execute(AGED, {"minutes": 69})
    still = uploaded(headers, photo)
    sql.execute(AGED, {"minutes": 2})
    assert refusal(create(headers, upload_id)) == (404, "UPLOAD_NOT_FOUND")
    assert create(headers, still).status == 201


def test_nothing_that_lies_in_storage_is_taken_for_an_upload(photo: bytes) -> None:
    headers = api.person().headers
    objects.put(settings().minio_images_bucket, "uploads/user-1/x", photo, content_type="image/jpeg")
    for wrong in ("uploads/user-1/x", "../user-1/x", "5f0e6c1e-8d0b-4a54-9c0e-6d2f6a3f8b11"):
        assert create(headers, wrong).status in (404, 422)
