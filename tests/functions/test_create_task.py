"""Creating a task: whose, of which photo, and never lost."""

import io
import json
import multiprocessing
import uuid
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from PIL import Image

from facet import broker, db, objects
from facet.settings import settings
from tests.conftest import Settings
from tests.contract import fronts
from tests.functions import api
from tests.functions.conftest import Queue
from tests.stacks import until

Sql = psycopg.Connection[tuple[Any, ...]]


def stored(answer: api.Answer) -> bytes:
    """The photo behind the URL a client gets."""
    return httpx.get(answer.json()["source_file_path"], trust_env=False).raise_for_status().content


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The broker is down, until the test undoes this."""
    broker.close()
    monkeypatch.setenv("RABBITMQ_PORT", "1")
    settings.cache_clear()
    return monkeypatch


def test_a_photo_makes_a_task_that_waits_for_an_agent(photo: bytes) -> None:
    person = api.person()
    answer = api.create(person.headers, photo)
    assert answer.status == 201
    assert set(answer.json()) == {"request_uuid", "source_file_path"}
    assert api.status(person.headers, answer.json()["request_uuid"]) == "PENDING"


def test_the_message_is_what_agents_know(clean: Settings, queue: Queue, photo: bytes) -> None:
    request_uuid = api.create(api.person().headers, photo).json()["request_uuid"]
    [(body, properties)] = queue.take("generation_tasks")
    task = json.loads(body)
    assert list(task) == ["request_uuid", "task_client_type", "task_input_metadata"]
    assert (task["request_uuid"], task["task_client_type"]) == (request_uuid, "WEB_SERVICE")
    assert task["task_input_metadata"]["output_bucket"] == clean["MINIO_3D_FILES_BUCKET"]
    assert task["task_input_metadata"]["emotions_files_urls"] == []
    url = task["task_input_metadata"]["input_file_url"]
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["86400"]
    assert Image.open(io.BytesIO(httpx.get(url, trust_env=False).content)).format == "JPEG"
    assert (properties.correlation_id, properties.type) == (request_uuid, "avatar.task.v1")
    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")
    assert properties.headers["x-attempt"] == 1
    assert uuid.UUID(properties.message_id)


def test_the_agent_gets_every_file_of_the_emotions_bucket(clean: Settings, queue: Queue, photo: bytes) -> None:
    bucket = clean["MINIO_DECA_EMOTIONS_BUCKET"]
    objects.put(bucket, "smile.pkl", b"smile", content_type="application/octet-stream")
    try:
        api.create(api.person().headers, photo)
    finally:
        objects.delete(bucket, "smile.pkl")
    [(body, _)] = queue.take("generation_tasks")
    [url] = json.loads(body)["task_input_metadata"]["emotions_files_urls"]
    assert urlsplit(url).path == f"/{bucket}/smile.pkl"


@pytest.mark.parametrize(
    ("sent", "continued"),
    [
        ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", True),
        ("00-" + "0" * 32 + "-" + "b" * 16 + "-01", False),
        ("x", False),
    ],
)
def test_a_trace_goes_on_to_the_agent(queue: Queue, photo: bytes, sent: str, continued: bool) -> None:
    assert api.create({**api.person().headers, "traceparent": sent}, photo).status == 201
    [(_, properties)] = queue.take("generation_tasks")
    assert (properties.headers["traceparent"] == sent) is continued
    assert len(properties.headers["traceparent"]) == 55


@fronts.not_through(*fronts.HANDLERS, reason="no function is asked with more than 6 MB there")
def test_the_token_comes_before_the_body(photo: bytes) -> None:
    assert api.create({}, photo).status == 422
    assert api.create({"access-token": "garbage"}, b"x" * 11_000_000).status == 403


def test_the_photo_is_kept_without_what_the_camera_wrote(photo: bytes) -> None:
    picture = Image.open(io.BytesIO(photo)).resize((320, 240))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Pocket Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif, comment=b"taken by Ada", xmp=b"<x:xmpmeta>GPS</x:xmpmeta>")
    kept = stored(api.create(api.person().headers, out.getvalue()))
    image = Image.open(io.BytesIO(kept))
    assert (image.format, image.size) == ("JPEG", (240, 320))
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert [word for word in (b"Exif", b"Pocket Camera", b"Ada", b"xmpmeta") if word in kept] == []


def test_the_key_of_the_photo_is_ours(clean: Settings, sql: Sql, photo: bytes) -> None:
    person = api.person()
    api.create(person.headers, photo)
    [(bucket, key, size)] = sql.execute("SELECT bucket, object_key, size FROM media_objects").fetchall()
    assert bucket == clean["MINIO_IMAGES_BUCKET"]
    owner, _, name = key.partition("/")
    assert owner == f"user-{person.user_id}"
    assert uuid.UUID(name.removesuffix(".jpg"))
    assert objects.head(bucket, key).size == size


def test_a_file_that_is_no_image_is_a_415_with_the_old_text_and_leaves_nothing(sql: Sql) -> None:
    answer = api.create(api.person().headers, b"GIF89a/*<script>alert(1)</script>*/=1;")
    assert (answer.status, answer.json()) == (415, {"detail": "Only image files are accepted"})
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_an_image_that_is_too_large_or_too_small_is_refused_with_its_code() -> None:
    headers = {**api.person().headers, "accept": "application/problem+json"}
    for size, status, code in [((20_000, 3_000), 413, "IMAGE_TOO_LARGE"), ((63, 200), 422, "IMAGE_TOO_SMALL")]:
        out = io.BytesIO()
        Image.new("L", size).save(out, "PNG")
        answer = api.create(headers, out.getvalue())
        assert (answer.status, answer.json()["code"]) == (status, code)


def test_a_form_without_the_file_is_a_422_that_names_it() -> None:
    path, headers = "/3d-model-generation/tasks", api.person().headers
    answer = api.request("create_task", "POST", path, headers=headers, files={"image": ("me.jpg", b"x")})
    assert answer.status == 422
    assert [(error["type"], error["loc"]) for error in answer.detail] == [("missing", ["body", "task_source_file"])]


def test_a_user_erased_meanwhile_is_an_invalid_token_and_leaves_no_photo(
    clean: Settings, sql: Sql, photo: bytes
) -> None:
    person = api.person()
    sql.execute("DELETE FROM users")
    before = objects.list_keys(clean["MINIO_IMAGES_BUCKET"])
    answer = api.create(person.headers, photo)
    assert (answer.status, answer.json()) == (403, {"detail": "Invalid token"})
    assert objects.list_keys(clean["MINIO_IMAGES_BUCKET"]) == before


def test_storage_that_is_away_is_a_503_and_no_task(monkeypatch: pytest.MonkeyPatch, sql: Sql, photo: bytes) -> None:
    def away(*_: object, **__: object) -> None:
        raise objects.Unavailable

    headers = api.person().headers
    monkeypatch.setattr(objects, "put", away)
    assert api.create(headers, photo).status == 503
    assert sql.execute("SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM media_objects)").fetchone() == (0, 0)


def test_a_task_is_accepted_while_the_broker_is_down_and_sent_later(
    clean: Settings, no_broker: pytest.MonkeyPatch, queue: Queue, photo: bytes
) -> None:
    person = api.person()
    answer = api.create(person.headers, photo)
    assert answer.status == 201
    request_uuid = answer.json()["request_uuid"]
    assert api.status(person.headers, request_uuid) == "INITIAL"
    no_broker.setenv("RABBITMQ_PORT", clean["RABBITMQ_PORT"])
    settings.cache_clear()

    def sent() -> bool:
        api.relay()
        return api.status(person.headers, request_uuid) == "PENDING"

    until(sent, within=30, what="the message is sent")
    assert [properties.correlation_id for _, properties in queue.take("generation_tasks")] == [request_uuid]


def test_a_task_is_accepted_whatever_goes_wrong_with_its_message(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    def broken(*_: object) -> list[str]:
        raise RuntimeError("no emotions today")

    monkeypatch.setattr(objects, "list_keys", broken)
    assert api.create(api.person().headers, photo).status == 201


def test_a_key_makes_a_task_of_its_own(sql: Sql, queue: Queue, photo: bytes) -> None:
    answer = api.create(api.new_key(), photo, integrations=True)
    assert answer.status == 201
    assert sql.execute("SELECT user_id, api_key_id, client_type FROM tasks").fetchall() == [
        (None, 1, "EXTERNAL_INTEGRATION")
    ]
    [(body, _)] = queue.take("generation_tasks")
    assert json.loads(body)["task_client_type"] == "EXTERNAL_INTEGRATION"


def test_a_users_key_makes_a_task_of_the_user(sql: Sql, photo: bytes) -> None:
    person = api.person()
    api.create(api.new_key(user_email=person.email), photo, integrations=True)
    assert sql.execute("SELECT user_id, api_key_id, client_type FROM tasks").fetchall() == [
        (person.user_id, 1, "EXTERNAL_INTEGRATION")
    ]


@pytest.mark.parametrize(("mode", "status"), [("required", 401), ("optional", 201), ("off", 201)])
def test_whether_a_key_is_needed_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, photo: bytes, mode: str, status: int
) -> None:
    monkeypatch.setenv("INTEGRATIONS_AUTH", mode)
    settings.cache_clear()
    assert api.create({}, photo, integrations=True).status == status


_together: list[Barrier] = []


def meet_at(barrier: Barrier) -> None:
    api.begin_process()
    _together.append(barrier)


def one_of_many(headers: dict[str, str], photo: bytes) -> int:
    """In a process of its own, warm and started together with the others."""
    assert api.history(headers) == []
    _together[0].wait(60)
    return api.create(headers, photo).status


def test_eight_photos_at_once_are_all_accepted(queue: Queue, photo: bytes) -> None:
    person = api.person()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(8, spawn, initializer=meet_at, initargs=(spawn.Barrier(8),)) as pool:
        statuses = list(pool.map(one_of_many, [person.headers] * 8, [photo] * 8))
    assert statuses == [201] * 8
    assert len(api.history(person.headers)) == 8
    assert len(queue.take("generation_tasks")) == 8


def test_a_photo_survives_the_death_of_the_connection_to_the_database(sql: Sql, photo: bytes) -> None:
    person = api.person()
    with db.transaction() as conn:
        warm = conn.info.backend_pid
    sql.execute("SELECT pg_terminate_backend(%s, 5000)", (warm,))
    assert api.create(person.headers, photo).status == 201
