"""Results of tasks that have ended or are gone: no error, no change, and no model is left behind."""

from functools import partial
from typing import Any

import psycopg
import pytest

from facet import db, objects
from tests.conftest import Settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]

DEAD = f"{api.RESULTS_QUEUE}.dead"
GLB = "model/gltf-binary"

purge = partial(api.on_schedule, "purge_expired")


@pytest.fixture
def bucket(clean: Settings) -> str:
    return clean["MINIO_3D_FILES_BUCKET"]


@pytest.fixture
def task(photo: bytes) -> str:
    return str(api.create(api.person().headers, photo).json()["request_uuid"])


def is_stored(bucket: str, key: str) -> bool:
    try:
        objects.head(bucket, key)
    except objects.NotFound:
        return False
    return True


def noted(sql: Sql, bucket: str) -> list[tuple[Any, ...]]:
    """What is to be deleted from a bucket, and in how many hours."""
    return sql.execute(
        "SELECT object_key, round(extract(epoch FROM due_at - now()) / 3600)::int FROM object_deletions"
        " WHERE bucket = %s",
        (bucket,),
    ).fetchall()


def dead(queue: Queue) -> list[str]:
    return [str(properties.headers["x-error-code"]) for _, properties in queue.take(DEAD)]


def end(sql: Sql, how: str) -> None:
    """End the only task without its agent, or delete it."""
    from avatars import removal

    if how == "DELETED":
        with db.transaction() as conn:
            removal.remove(conn, [1])
    else:
        code = "AGENT_LOST" if how == "FAILED" else None
        sql.execute(
            "UPDATE tasks SET status = %s, failure_code = %s, finished_at = now(), revision = revision + 1", (how, code)
        )


@pytest.mark.parametrize("how", ["CANCELLED", "FAILED", "DELETED"])
@pytest.mark.parametrize("name", ["{uuid}.glb", "{uuid}/head.glb"])
def test_a_late_model_is_removed_from_storage(
    task: str, sql: Sql, queue: Queue, bucket: str, model: bytes, how: str, name: str
) -> None:
    end(sql, how)
    before = sql.execute("SELECT * FROM tasks").fetchall()
    key = name.format(uuid=task)
    objects.put(bucket, key, model, content_type=GLB)
    api.consume(api.result_message(task, bucket, file_name=key))
    api.consume({"request_uuid": task, "status": "IN_PROGRESS", "progress": 50})
    assert sql.execute("SELECT * FROM tasks").fetchall() == before
    assert dead(queue) == []
    purge()
    assert not is_stored(bucket, key)


def test_a_success_reported_again_keeps_its_model(task: str, sql: Sql, bucket: str, model: bytes) -> None:
    api.finish(task, model)
    api.finish(task, model)
    purge()
    assert is_stored(bucket, f"{task}.glb")
    assert noted(sql, bucket) == []


def test_a_second_model_of_a_success_is_removed(task: str, bucket: str, model: bytes) -> None:
    api.finish(task, model)
    second = f"{task}/again.glb"
    objects.put(bucket, second, model, content_type=GLB)
    api.consume(api.result_message(task, bucket, file_name=second))
    purge()
    assert not is_stored(bucket, second)
    assert is_stored(bucket, f"{task}.glb")


@pytest.mark.parametrize("how", ["CANCELLED", "DELETED"])
def test_a_late_model_of_a_name_of_its_own_stays_a_day_for_whom_it_may_belong_to(
    task: str, sql: Sql, bucket: str, model: bytes, how: str
) -> None:
    end(sql, how)
    objects.put(bucket, "avatar-77.glb", model, content_type=GLB)
    api.consume(api.result_message(task, bucket, file_name="avatar-77.glb"))
    purge()
    assert is_stored(bucket, "avatar-77.glb")
    assert ("avatar-77.glb", 24) in noted(sql, bucket)
    objects.delete(bucket, "avatar-77.glb")


@pytest.mark.parametrize("how", ["CANCELLED", "DELETED"])
def test_a_late_result_removes_nothing_of_another_task_or_bucket(
    task: str, sql: Sql, clean: Settings, bucket: str, model: bytes, photo: bytes, how: str
) -> None:
    other = str(api.create(api.person("grace@example.org").headers, photo).json()["request_uuid"])
    end(sql, how)
    photos = clean["MINIO_IMAGES_BUCKET"]
    for place, key in ((bucket, f"x{other}.glb"), (photos, f"{task}.glb")):
        objects.put(place, key, model, content_type=GLB)
        api.consume(api.result_message(task, place, file_name=key))
        assert key not in [noted_key for noted_key, _ in noted(sql, place)]
        objects.delete(place, key)


def test_no_task_may_claim_the_file_of_a_deleted_one(
    task: str, sql: Sql, queue: Queue, bucket: str, model: bytes, photo: bytes
) -> None:
    end(sql, "DELETED")
    other = str(api.create(api.person("other@example.org").headers, photo).json()["request_uuid"])
    objects.put(bucket, f"{task}.glb", model, content_type=GLB)
    api.consume(api.result_message(other, bucket, file_name=f"{task}.glb"))
    assert dead(queue) == ["FOREIGN_RESULT"]
    objects.delete(bucket, f"{task}.glb")


def test_a_refused_model_is_removed_after_a_day(task: str, sql: Sql, bucket: str) -> None:
    api.finish(task, b"this is no model")
    key = f"{task}.glb"
    assert noted(sql, bucket) == [(key, 24)]
    sql.execute("UPDATE object_deletions SET due_at = now()")
    purge()
    assert not is_stored(bucket, key)


@pytest.mark.parametrize("is_finished", [True, False])
def test_reports_on_a_task_in_test_mode_are_set_aside(
    task: str, sql: Sql, queue: Queue, bucket: str, model: bytes, is_finished: bool
) -> None:
    api.to_test_mode(sql)
    if is_finished:
        end(sql, "CANCELLED")
    before = sql.execute("SELECT * FROM tasks").fetchall()
    api.finish(task, model)
    api.consume({"request_uuid": task, "status": "FAILED"})
    assert dead(queue) == ["UNKNOWN_TASK", "UNKNOWN_TASK"]
    assert sql.execute("SELECT * FROM tasks").fetchall() == before
    objects.delete(bucket, f"{task}.glb")


def test_what_was_never_a_task_stays_unknown(queue: Queue, bucket: str) -> None:
    api.consume(api.result_message("11111111-2222-4333-8444-555555555555", bucket))
    assert dead(queue) == ["UNKNOWN_TASK"]
