"""Deleting a task."""

from typing import Any

import psycopg
import pytest

from facet import objects
from tests.conftest import Settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


def delete(headers: dict[str, str], request_uuid: str, *, integrations: bool = False) -> api.Answer:
    return api.of_task("delete_task", "DELETE", headers, request_uuid, integrations=integrations)


def made(photo: bytes) -> tuple[dict[str, str], str]:
    headers = api.person().headers
    return headers, api.create(headers, photo).json()["request_uuid"]


def stored(clean: Settings) -> list[str]:
    buckets = (clean["MINIO_IMAGES_BUCKET"], clean["MINIO_3D_FILES_BUCKET"])
    return [key for bucket in buckets for key in objects.list_keys(bucket)]


def test_a_task_goes_with_its_photo_and_its_avatar(clean: Settings, photo: bytes, model: bytes) -> None:
    before = set(stored(clean))
    headers, request_uuid = made(photo)
    api.finish(request_uuid, model)
    assert len(set(stored(clean)) - before) == 2
    answer = delete(headers, request_uuid)
    assert (answer.status, answer.body) == (204, b"")
    assert api.of_task("get_task", "GET", headers, request_uuid).status == 404
    assert api.history(headers) == []
    api.on_schedule("purge_expired")
    assert set(stored(clean)) <= before


def test_whoever_deletes_twice_is_told_that_it_is_gone(photo: bytes) -> None:
    headers, request_uuid = made(photo)
    assert delete(headers, request_uuid).status == 204
    answer = delete(headers, request_uuid)
    assert (answer.status, answer.json()["code"]) == (404, "TASK_NOT_FOUND")


@pytest.mark.parametrize("status", ["IN_PROGRESS", "FAILED", "INVALID_INPUT"])
def test_a_task_is_deleted_in_whatever_state(photo: bytes, status: str) -> None:
    headers, request_uuid = made(photo)
    api.consume({"request_uuid": request_uuid, "status": status})
    assert delete(headers, request_uuid).status == 204


def test_a_photo_that_a_retry_took_stays_until_the_retry_goes(sql: Sql, clean: Settings, photo: bytes) -> None:
    headers, request_uuid = made(photo)
    api.consume({"request_uuid": request_uuid, "status": "FAILED"})
    again = api.retry(headers, request_uuid).json()
    assert delete(headers, request_uuid).status == 204
    api.on_schedule("purge_expired")
    (file,) = api.task(headers, again["request_uuid"])["files"]
    (address,) = sql.execute("SELECT bucket, object_key FROM media_objects").fetchall()
    assert objects.head(*address).size == file["bytes"]
    assert delete(headers, again["request_uuid"]).status == 204
    api.on_schedule("purge_expired")
    with pytest.raises(objects.NotFound):
        objects.head(*address)


def test_a_late_result_of_a_deleted_task_is_no_error_and_leaves_no_model(
    clean: Settings, sql: Sql, photo: bytes, model: bytes
) -> None:
    headers, request_uuid = made(photo)
    delete(headers, request_uuid)
    assert sql.execute("SELECT request_uuid::text FROM erased_tasks").fetchall() == [(request_uuid,)]
    api.finish(request_uuid, model)
    api.on_schedule("purge_expired")
    assert f"{request_uuid}.glb" not in stored(clean)


def test_a_key_deletes_what_it_may_see(photo: bytes) -> None:
    key = api.new_key()
    request_uuid = api.create(key, photo, integrations=True).json()["request_uuid"]
    assert delete(api.new_key(), request_uuid, integrations=True).status == 404
    assert delete(key, request_uuid, integrations=True).status == 204


@pytest.mark.parametrize("no_uuid", ["1", "not-a-uuid"])
def test_an_unknown_task_cannot_be_deleted(no_uuid: str) -> None:
    answer = delete(api.person().headers, no_uuid)
    assert (answer.status, answer.json()["code"]) == (404, "TASK_NOT_FOUND")
