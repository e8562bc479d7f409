"""What agents report: believed only as far as it can be checked, and never in the way of the next message."""

import json
import struct
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from facet import broker, db, objects
from tests.conftest import Settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]

DEAD = f"{api.RESULTS_QUEUE}.dead"


@pytest.fixture
def person() -> api.Person:
    return api.person()


@pytest.fixture
def task(person: api.Person, photo: bytes) -> str:
    return str(api.create(person.headers, photo).json()["request_uuid"])


@pytest.fixture
def bucket(clean: Settings) -> str:
    return clean["MINIO_3D_FILES_BUCKET"]


def row(sql: Sql, task: str) -> DictRow:
    with sql.cursor(row_factory=dict_row) as cursor:
        [found] = cursor.execute("SELECT * FROM tasks WHERE request_uuid = %s", (task,)).fetchall()
    return found


def dead_codes(queue: Queue) -> list[str]:
    return [str(properties.headers["x-error-code"]) for _, properties in queue.take(DEAD)]


def put(bucket: str, key: str, data: bytes) -> None:
    objects.put(bucket, key, data, content_type="model/gltf-binary")


def test_progress_moves_a_task_on_and_never_back(person: api.Person, task: str, sql: Sql) -> None:
    api.consume({"request_uuid": task, "status": "IN_PROGRESS", "progress": 40, "stage": "fitting", "gpu": 3})
    assert api.status(person.headers, task) == "IN_PROGRESS"
    revision = row(sql, task)["revision"]
    api.consume({"request_uuid": task, "status": "IN_PROGRESS", "progress": 10, "stage": "detection"})
    api.consume({"request_uuid": task, "status": "PENDING"})
    assert (row(sql, task)["progress"], row(sql, task)["stage"]) == (40, "fitting")
    assert row(sql, task)["revision"] == revision
    api.consume({"request_uuid": task, "status": "IN_PROGRESS", "progress": 60})
    assert (row(sql, task)["progress"], row(sql, task)["stage"]) == (60, "fitting")
    assert row(sql, task)["revision"] == revision + 1


def test_progress_may_come_before_the_confirm_is_written_down(person: api.Person, task: str, sql: Sql) -> None:
    sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
    sql.execute("UPDATE tasks SET status = 'INITIAL', published_at = NULL")
    sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
    sql.execute("UPDATE outbox SET published_at = NULL")
    api.consume({"request_uuid": task, "status": "IN_PROGRESS"})
    api.relay()
    assert api.status(person.headers, task) == "IN_PROGRESS"
    assert row(sql, task)["published_at"] is not None


def test_success_without_a_result_waits_for_it(person: api.Person, task: str, model: bytes) -> None:
    api.consume({"request_uuid": task, "status": "SUCCESS", "progress": 100})
    assert api.status(person.headers, task) == "IN_PROGRESS"
    api.finish(task, model)
    assert api.status(person.headers, task) == "SUCCESS"


@pytest.mark.parametrize("status", ["INVALID_INPUT", "FAILED"])
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, "AGENT_ERROR", None),
        ({"code": "NO_FACE", "message": "no face\0in\nthe photo"}, "NO_FACE", "no face in the photo"),
        ({"message": "x" * 9000}, "AGENT_ERROR", "x" * 500),
        ({"code": "<script>"}, "AGENT_ERROR", None),
        ({"code": "A" * 65}, "AGENT_ERROR", None),
    ],
)
def test_a_failure_keeps_its_cause(
    person: api.Person, task: str, sql: Sql, status: str, error: object, code: str, message: str | None
) -> None:
    api.consume({"request_uuid": task, "status": status, "error": error})
    assert api.status(person.headers, task) == status
    assert (row(sql, task)["failure_code"], row(sql, task)["failure_message"]) == (code, message)


@pytest.mark.parametrize("name", ["{uuid}.glb", "{uuid}/head.glb", "head_7.glb", "out/head 7.glb", "100% 🔑 #?&+.glb"])
def test_a_result_makes_the_task_a_success(
    person: api.Person, task: str, sql: Sql, bucket: str, model: bytes, name: str
) -> None:
    file_name = name.format(uuid=task)
    put(bucket, file_name, model)
    message = api.result_message(task, bucket, file_name=file_name)
    try:
        api.consume({**message, "vertices": 468, "triangles": 898, "sha256": "whatever", "preview": None})
    finally:
        objects.delete(bucket, file_name)
    assert api.status(person.headers, task) == "SUCCESS"
    assert (row(sql, task)["progress"], row(sql, task)["vertices"]) == (100, 468)
    [(size, sha256)] = sql.execute(
        "SELECT size, encode(sha256, 'hex') FROM media_objects WHERE kind = 'model'"
    ).fetchall()
    assert (size, len(sha256)) == (len(model), 64)


def test_a_result_that_comes_again_counts_once(task: str, sql: Sql, bucket: str, model: bytes, queue: Queue) -> None:
    api.finish(task, model)
    before = sql.execute("SELECT * FROM tasks").fetchall()
    api.consume(*[api.result_message(task, bucket, skin_color_hex="#ffffff")] * 3)
    assert sql.execute("SELECT * FROM tasks").fetchall() == before
    assert queue.take(DEAD) == []


def test_what_comes_after_the_end_changes_nothing(task: str, sql: Sql, bucket: str, queue: Queue) -> None:
    api.consume({"request_uuid": task, "status": "FAILED"})
    before = sql.execute("SELECT * FROM tasks").fetchall()
    for late in ("PENDING", "IN_PROGRESS", "SUCCESS", "INVALID_INPUT", "FAILED"):
        api.consume({"request_uuid": task, "status": late, "progress": 99})
    api.consume(api.result_message(task, bucket))
    assert sql.execute("SELECT * FROM tasks").fetchall() == before
    assert queue.take(DEAD) == []


def test_a_result_without_its_file_fails_the_task(person: api.Person, task: str, sql: Sql, bucket: str) -> None:
    api.consume(api.result_message(task, bucket))
    assert api.status(person.headers, task) == "FAILED"
    assert row(sql, task)["failure_code"] == "RESULT_MISSING"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not a model</html>" * 9,
        struct.pack("<4sII", b"glTF", 2, 12),
        struct.pack("<4sIII4s", b"glTF", 2, 22, 2, b"JSON") + b"{}",
        struct.pack("<4sIII4s", b"glTF", 2, 999, 2, b"JSON") + b"{}",
    ],
)
def test_a_file_that_is_no_glb_fails_the_task(person: api.Person, task: str, sql: Sql, data: bytes) -> None:
    api.finish(task, data)
    assert api.status(person.headers, task) == "FAILED"
    assert row(sql, task)["failure_code"] == "RESULT_INVALID"


def test_a_file_beyond_the_limit_fails_the_task_unread(
    person: api.Person, task: str, sql: Sql, monkeypatch: pytest.MonkeyPatch, model: bytes
) -> None:
    from avatars import results

    monkeypatch.setattr(results, "MAX_MODEL_BYTES", len(model) - 1)
    monkeypatch.setattr(objects, "read", None)
    api.finish(task, model)
    assert row(sql, task)["failure_code"] == "RESULT_INVALID"


def test_another_bucket_is_set_aside_and_the_task_waits_on(
    clean: Settings, person: api.Person, task: str, sql: Sql, queue: Queue
) -> None:
    [(bucket, key)] = sql.execute("SELECT bucket, object_key FROM media_objects").fetchall()
    api.consume(api.result_message(task, bucket, file_name=key), api.result_message(task, "another-bucket"))
    assert dead_codes(queue) == ["FOREIGN_RESULT", "FOREIGN_RESULT"]
    assert api.status(person.headers, task) == "PENDING"


@pytest.mark.parametrize("name", ["{theirs}.glb", "{theirs}/head.glb", "out/{theirs}.glb", "HEAD-{theirs}.GLB"])
def test_a_file_named_after_another_task_is_set_aside(
    person: api.Person, task: str, photo: bytes, bucket: str, model: bytes, queue: Queue, name: str
) -> None:
    theirs = api.create(person.headers, photo).json()["request_uuid"]
    file_name = name.format(theirs=theirs)
    put(bucket, file_name, model)
    api.consume(api.result_message(task, bucket, file_name=file_name))
    assert dead_codes(queue) == ["FOREIGN_RESULT"]
    assert api.status(person.headers, task) == "PENDING"


def test_a_file_that_another_task_has_claimed_is_set_aside(
    person: api.Person, task: str, photo: bytes, bucket: str, model: bytes, queue: Queue
) -> None:
    put(bucket, "head.glb", model)
    theirs = api.create(person.headers, photo).json()["request_uuid"]
    api.consume(
        api.result_message(theirs, bucket, file_name="head.glb"), api.result_message(task, bucket, file_name="head.glb")
    )
    objects.delete(bucket, "head.glb")
    assert api.status(person.headers, theirs) == "SUCCESS"
    assert api.status(person.headers, task) == "PENDING"
    assert dead_codes(queue) == ["FOREIGN_RESULT"]


def test_a_file_older_than_the_task_is_set_aside_unless_it_has_the_tasks_name(
    person: api.Person, task: str, sql: Sql, bucket: str, model: bytes, queue: Queue
) -> None:
    put(bucket, "old.glb", model)
    sql.execute("UPDATE outbox SET published_at = now() + interval '1 minute'")
    api.consume(api.result_message(task, bucket, file_name="old.glb"))
    objects.delete(bucket, "old.glb")
    assert dead_codes(queue) == ["FOREIGN_RESULT"]
    api.finish(task, model)
    assert api.status(person.headers, task) == "SUCCESS"


MALFORMED: dict[str, bytes] = {
    "no JSON": b"no json",
    "no UTF-8": b'{"request_uuid": "\xff"}',
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "deep": b'{"request_uuid":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "long": b'{"status": "IN_PROGRESS", "stage": "' + b"x" * 300_000 + b'"}',
    "no status": b'{"request_uuid": "00000000-0000-0000-0000-000000000000"}',
    "no UUID": b'{"request_uuid": 5, "status": "IN_PROGRESS"}',
    "half a UUID": b'{"request_uuid": "0000", "status": "IN_PROGRESS"}',
    "another status": b'{"request_uuid": "00000000-0000-0000-0000-000000000000", "status": "CANCELLED"}',
    "too far": b'{"request_uuid": "00000000-0000-0000-0000-000000000000", "status": "IN_PROGRESS", "progress": 101}',
    "NaN": b'{"request_uuid": "00000000-0000-0000-0000-000000000000", "status": "IN_PROGRESS", "progress": NaN}',
    "half a surrogate": b'{"request_uuid": "00000000-0000-0000-0000-000000000000", "status": "\\ud800"}',
}


@pytest.mark.parametrize("malformed", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_message_is_set_aside_and_the_batch_goes_on(
    person: api.Person, task: str, queue: Queue, malformed: bytes
) -> None:
    api.consume(malformed, {"request_uuid": task, "status": "IN_PROGRESS"})
    assert api.status(person.headers, task) == "IN_PROGRESS"
    [(body, properties)] = queue.take(DEAD)
    assert body == malformed
    assert properties.headers["x-error-code"] == "MALFORMED_MESSAGE"
    assert properties.headers["x-error"]
    assert properties.message_id == "m0"


@pytest.mark.parametrize(
    "name", ["", "/head.glb", "a//b.glb", "../head.glb", "a/./b.glb", "a\\b.glb", "a\0b.glb", "é" * 513, "x" * 256]
)
def test_a_name_that_is_no_plain_key_is_malformed(task: str, bucket: str, queue: Queue, name: str) -> None:
    message = api.result_message(task, bucket)
    api.consume({**message, "minio_metadata": {"bucket": bucket, "file_name": name}})
    assert dead_codes(queue) == ["MALFORMED_MESSAGE"]


def test_a_message_of_an_unknown_task_is_set_aside(queue: Queue) -> None:
    api.consume({"request_uuid": str(uuid.uuid4()), "status": "IN_PROGRESS"})
    assert dead_codes(queue) == ["UNKNOWN_TASK"]


def test_what_is_set_aside_says_why_without_repeating_values(queue: Queue) -> None:
    api.consume({"request_uuid": "my-password-123", "status": ["another-secret"]})
    [(_, properties)] = queue.take(DEAD)
    assert "request_uuid" in properties.headers["x-error"]
    assert "status" in properties.headers["x-error"]
    assert "secret" not in properties.headers["x-error"]
    assert "password" not in properties.headers["x-error"]


def test_storage_that_is_away_keeps_the_batch(
    person: api.Person, task: str, bucket: str, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise objects.Unavailable

    put(bucket, f"{task}.glb", model)
    with monkeypatch.context() as patch:
        patch.setattr(objects, "head", away)
        with pytest.raises(objects.Unavailable):
            api.consume(api.result_message(task, bucket))
    assert api.status(person.headers, task) == "PENDING"
    api.consume(api.result_message(task, bucket))
    assert api.status(person.headers, task) == "SUCCESS"


def test_a_broker_that_takes_no_dead_letter_keeps_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: object) -> None:
        raise broker.Unavailable

    monkeypatch.setattr(broker, "dead_letter", away)
    with pytest.raises(broker.Unavailable):
        api.consume(b"no json")


def test_a_database_that_is_away_keeps_the_batch(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise db.Unavailable

    monkeypatch.setattr(db, "transaction", away)
    with pytest.raises(db.Unavailable):
        api.consume({"request_uuid": task, "status": "IN_PROGRESS"})


def test_a_batch_is_applied_in_order(person: api.Person, task: str, bucket: str, model: bytes, queue: Queue) -> None:
    put(bucket, f"{task}.glb", model)
    api.consume(
        {"request_uuid": task, "status": "IN_PROGRESS"},
        json.dumps(api.result_message(task, bucket)).encode(),
        {"request_uuid": task, "status": "IN_PROGRESS"},
    )
    assert api.status(person.headers, task) == "SUCCESS"
    assert queue.take(DEAD) == []
