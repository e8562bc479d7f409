"""Creating a task of a photo that was uploaded before, and what else its JSON may say."""

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx
import psycopg
import pytest

from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]

PROBLEMS = {"accept": "application/problem+json"}


def upload(headers: Mapping[str, str], data: bytes, *, integrations: bool = False, **said: object) -> str:
    """The id of an upload that has been put."""
    body = {"content_type": "image/jpeg", "size": len(data), **said}
    begun = api.begin_upload(headers, body, integrations=integrations).json()
    put = httpx.put(begun["url"], content=data, headers=begun["headers"], trust_env=False)
    assert put.status_code == 200, put.text
    return str(begun["upload_id"])


@pytest.fixture
def ada() -> dict[str, str]:
    return api.person().headers


def code(answer: api.Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


def test_an_upload_becomes_a_task_like_a_photo_in_a_form(ada: dict[str, str], queue: Queue, photo: bytes) -> None:
    answer = api.create_of_upload(ada, {"upload_id": upload(ada, photo)})
    assert answer.status == 201
    assert set(answer.json()) == {"request_uuid", "source_file_path"}
    kept = httpx.get(answer.json()["source_file_path"], trust_env=False).content
    of_form = api.create(ada, photo).json()
    assert kept == httpx.get(of_form["source_file_path"], trust_env=False).content
    sent = [properties.correlation_id for _, properties in queue.take("generation_tasks")]
    assert sent == [answer.json()["request_uuid"], of_form["request_uuid"]]


def test_location_is_where_the_task_is_read(ada: dict[str, str], photo: bytes) -> None:
    answer = api.create(ada, photo)
    assert answer.headers["location"] == f"/api/v1/3d-model-generation/tasks/{answer.json()['request_uuid']}"
    by_key = api.create(api.new_key(), photo, integrations=True)
    path = f"/api/v1/integrations/3d-model-generation/tasks/{by_key.json()['request_uuid']}"
    assert by_key.headers["location"] == path


def test_a_key_makes_a_task_of_its_upload(photo: bytes) -> None:
    key = api.new_key()
    body = {"upload_id": upload(key, photo, integrations=True)}
    assert api.create_of_upload(key, body, integrations=True).status == 201


def test_one_upload_makes_one_task(ada: dict[str, str], photo: bytes, sql: Sql) -> None:
    body = {"upload_id": upload(ada, photo)}
    assert api.create_of_upload(ada, body).status == 201
    assert code(api.create_of_upload({**ada, **PROBLEMS}, body)) == (409, "UPLOAD_USED")
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (1,)


def test_the_same_request_again_gets_the_same_answer(ada: dict[str, str], photo: bytes) -> None:
    body, headers = {"upload_id": upload(ada, photo)}, {**ada, "idempotency-key": "k1"}
    first, second = (api.create_of_upload(headers, body) for _ in range(2))
    assert (first.status, second.status, second.body) == (201, 201, first.body)
    assert second.headers["idempotent-replayed"] == "true"


def test_an_upload_of_another_or_of_nobody_is_a_404(ada: dict[str, str], photo: bytes) -> None:
    eve = {**api.person("eve@example.org").headers, **PROBLEMS}
    for upload_id in (upload(ada, photo), "5f0e6c1e-8d0b-4a54-9c0e-6d2f6a3f8b11"):
        assert code(api.create_of_upload(eve, {"upload_id": upload_id})) == (404, "UPLOAD_NOT_FOUND")


def test_before_the_photo_is_there_the_answer_is_a_409_and_the_upload_stays_good(
    ada: dict[str, str], photo: bytes
) -> None:
    begun = api.begin_upload(ada, {"content_type": "image/jpeg", "size": len(photo)}).json()
    body, headers = {"upload_id": begun["upload_id"]}, {**ada, **PROBLEMS, "idempotency-key": "k1"}
    assert code(api.create_of_upload(headers, body)) == (409, "UPLOAD_INCOMPLETE")
    httpx.put(begun["url"], content=photo, headers=begun["headers"], trust_env=False).raise_for_status()
    assert api.create_of_upload(headers, body).status == 201


def test_an_upload_that_is_no_photo_is_refused_like_one_in_a_form(ada: dict[str, str]) -> None:
    answer = api.create_of_upload(ada, {"upload_id": upload(ada, b"GIF89a no photo")})
    assert (answer.status, answer.json()) == (415, {"detail": "Only image files are accepted"})


def test_a_photo_that_is_not_the_announced_one_is_a_422(ada: dict[str, str], photo: bytes, sql: Sql) -> None:
    upload_id = upload(ada, photo)
    sql.execute("UPDATE uploads SET sha256 = %s", (hashlib.sha256(b"another").digest(),))
    answer = api.create_of_upload({**ada, **PROBLEMS}, {"upload_id": upload_id})
    assert code(answer) == (422, "UPLOAD_MISMATCH")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["body", "upload_id"]),
        ({"upload_id": "garbage"}, ["body", "upload_id"]),
        ({"upload_id": None}, ["body", "upload_id"]),
        ({"options": {"quality": "high"}}, ["body", "options", "quality"]),
        ({"metadata": {"list": []}}, ["body", "metadata"]),
        ({"webhook": "https://example.org"}, ["body", "webhook"]),
    ],
)
def test_what_the_json_may_not_say_is_a_422_that_names_it(
    ada: dict[str, str], body: dict[str, object], where: list[str]
) -> None:
    valid = {} if "upload_id" in body or not body else {"upload_id": "5f0e6c1e-8d0b-4a54-9c0e-6d2f6a3f8b11"}
    answer = api.create_of_upload(ada, {**valid, **body})
    assert answer.status == 422
    assert [fault["loc"] for fault in answer.detail] == [where]


def test_metadata_and_options_are_given_back_as_they_came(ada: dict[str, str], photo: bytes) -> None:
    metadata = {"order": "A-1042", "kiosk": 3, "weight": 2.5, "vip": True, "note": None, "name": "☃"}
    of_json = api.create_of_upload(ada, {"upload_id": upload(ada, photo), "options": {}, "metadata": metadata})
    of_form = api.create(ada, photo, metadata=metadata)
    for answer in (of_json, of_form):
        task = api.task(ada, answer.json()["request_uuid"])
        assert (task["metadata"], task["options"]) == (metadata, {})


@pytest.mark.parametrize("text", ["[]", "{", '{"a": {}}'])
def test_metadata_of_a_form_that_is_no_object_of_simple_values_is_a_422(
    ada: dict[str, str], photo: bytes, text: str
) -> None:
    answer = api.create(ada, photo, metadata=text)
    assert answer.status == 422
    assert [fault["loc"] for fault in answer.detail] == [["body", "metadata"]]


def test_outside_test_mode_the_word_sandbox_means_nothing(ada: dict[str, str], photo: bytes) -> None:
    request_uuid = api.create(ada, photo, metadata={"sandbox": "whatever"}).json()["request_uuid"]
    assert api.task(ada, request_uuid)["status"] == "PENDING"
