"""Messages and schedules have the same effect whoever brings them: Amazon MQ, Knative, Google, Azure, a consumer."""

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import psycopg
import pytest
from cloudevents.http import from_http

from facet import broker, invoke, loading, objects
from facet.adapters import azure, gcf
from facet.adapters.cloudevents import Receiver
from facet.consumer import Consumer, Options
from facet.context import Context
from facet.http import Headers, Request
from facet.messages import Message
from local.events import RmqMessage, rmq_event, schedule_event
from local.testing import Local
from tests.conftest import Settings
from tests.functions import api
from tests.functions.conftest import Queue
from tests.media import model
from tests.servers import postgres

Sql = psycopg.Connection[tuple[Any, ...]]
RESULTS, TASKS = "generation_task_results", "generation_tasks"
UUIDS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 6)]
SOURCE = f"/apis/v1/namespaces/facet/rabbitmqsources/results#{RESULTS}"
AVATAR, OLD = f"{UUIDS[1]}.glb", "old.glb"
UNTOUCHED = ("INITIAL", 0, None, 1, None, None, False, False)
AZURES = SimpleNamespace(function_name="facet", invocation_id="i-1")


@pytest.fixture(autouse=True)
def at(clean: Settings, project: Local) -> Settings:
    api.local = project
    broker.close()
    return clean


def prepare(settings: Settings) -> None:
    """Tasks that wait for agents, one that is overdue, one that was never announced, a model and one to be deleted."""
    bucket = settings["MINIO_3D_FILES_BUCKET"]
    objects.put(bucket, AVATAR, model(), content_type="model/gltf-binary")
    objects.put(bucket, OLD, model(), content_type="model/gltf-binary")
    with postgres(settings, autocommit=True) as sql:
        sql.execute("INSERT INTO users (name, email, password_hash) VALUES ('Ada', 'ada@example.org', 'x')")
        sql.execute(
            """
            INSERT INTO media_objects (kind, bucket, object_key, content_type, size, sha256)
            VALUES ('photo', %s, 'a.jpg', 'image/jpeg', 1, sha256('a'))
            """,
            (settings["MINIO_IMAGES_BUCKET"],),
        )
        for uuid in UUIDS:
            sql.execute(
                """
                INSERT INTO tasks (request_uuid, user_id, client_type, photo_id, output_bucket)
                VALUES (%s, 1, 'WEB_SERVICE', 1, %s)
                """,
                (uuid, bucket),
            )
        sql.execute("INSERT INTO outbox (task_id, attempt) VALUES (5, 1)")
        sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
        sql.execute("UPDATE tasks SET created_at = now() - interval '100 days' WHERE id = 4")
        sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
        sql.execute("INSERT INTO object_deletions VALUES (%s, %s, now() - interval '1 hour')", (bucket, OLD))


@dataclass(frozen=True)
class Effects:
    """What has become of the tasks and of the objects, and what lies in the queues."""

    dead: list[tuple[bytes, str]]
    announced: list[str]
    tasks: list[tuple[Any, ...]]
    """Status, progress, stage, revision, failure, colour; whether there is a model, and an end."""
    due: list[str]
    sent: bool
    stored: set[str]


def effects(settings: Settings) -> Effects:
    queue = Queue(settings)
    with postgres(settings) as sql:
        tasks = sql.execute(
            """
            SELECT status, progress, stage, revision, failure_code, skin_color_hex, model_id IS NOT NULL,
                   finished_at IS NOT NULL FROM tasks ORDER BY id
            """
        ).fetchall()
        due = [key for (key,) in sql.execute("SELECT object_key FROM object_deletions ORDER BY 1")]
        [(sent,)] = sql.execute("SELECT published_at IS NOT NULL FROM outbox").fetchall()
    return Effects(
        dead=[(body, properties.headers["x-error-code"]) for body, properties in queue.take(f"{RESULTS}.dead")],
        announced=[json.loads(body)["request_uuid"] for body, _ in queue.take(TASKS)],
        tasks=tasks,
        due=due,
        sent=sent,
        stored={AVATAR, OLD} & {*objects.list_keys(settings["MINIO_3D_FILES_BUCKET"])},
    )


# ---- Messages -------------------------------------------------------------------------------------------------------
def bodies(settings: Settings) -> list[bytes]:
    """Progress, also twice and late; an avatar, twice; a failure; three that nobody can use."""
    bucket = settings["MINIO_3D_FILES_BUCKET"]
    reports: list[Any] = [
        {"request_uuid": UUIDS[0], "status": "IN_PROGRESS", "progress": 60, "stage": "gemütlich ☃"},
        {"request_uuid": UUIDS[0], "status": "IN_PROGRESS", "progress": 60, "stage": "gemütlich ☃"},
        {"request_uuid": UUIDS[0], "status": "IN_PROGRESS", "progress": 20},
        api.result_message(UUIDS[1], bucket),
        api.result_message(UUIDS[1], bucket),
        {"request_uuid": UUIDS[2], "status": "FAILED", "error": {"code": "NO_FACE", "message": "nobody"}},
        {"request_uuid": UUIDS[2][:-1] + "f", "status": "IN_PROGRESS"},
    ]
    return [*(json.dumps(each, ensure_ascii=False).encode() for each in reports), b"no JSON", b"\xff\x00"]


def by_amazon_mq(messages: Sequence[bytes]) -> None:
    records = [RmqMessage(body, {"messageId": f"m{number}"}) for number, body in enumerate(messages)]
    app = loading.load("consume_results")
    app(rmq_event(RESULTS, "/", records, broker_arn="arn:aws:mq:test"), Context("consume_results"))


def by_knative(messages: Sequence[bytes]) -> None:
    """Each as the binary CloudEvent of a RabbitmqSource."""
    for number, body in enumerate(messages):
        headers = Headers([*binary(number), ("content-type", "application/json")])
        assert received("consume_results", Request("POST", "/", headers=headers, body=body)) == 204


def by_structured_events(messages: Sequence[bytes]) -> None:
    for number, body in enumerate(messages):
        event = {name.removeprefix("ce-"): value for name, value in binary(number)}
        content = json.dumps({**event, "data_base64": b64encode(body).decode()}).encode()
        headers = Headers([("content-type", "application/cloudevents+json")])
        assert received("consume_results", Request("POST", "/", headers=headers, body=content)) == 204


def by_google(messages: Sequence[bytes]) -> None:
    view = gcf.cloud_event(loading.load("consume_results"))
    for number, body in enumerate(messages):
        view(from_http({**dict(binary(number)), "content-type": "application/octet-stream"}, body))


def by_azure(messages: Sequence[bytes]) -> None:
    view = azure.consumer(loading.load("consume_results"), pauses=[])
    for body in messages:
        view(body, AZURES)  # type: ignore[arg-type]  # it has what is asked of Azure's


def by_consumer(messages: Sequence[bytes]) -> None:
    """Through the broker, as python -m facet.consume takes them."""
    app, handled = loading.load("consume_results"), threading.Semaphore(0)
    process = app.process

    def counted(batch: list[Message], context: Any) -> None:
        process(batch, context)
        handled.release()

    consumer = Consumer(app, Options(grace=10))
    thread = threading.Thread(target=consumer.run)
    app.process = counted  # type: ignore[method-assign, assignment]  # until all are handled
    try:
        thread.start()
        for number, body in enumerate(messages):
            broker.publish(queue=RESULTS, body=body, message_id=f"m{number}")
        assert all(handled.acquire(timeout=30) for _ in messages)
    finally:
        del app.process
        consumer.stop()
        thread.join(20)
        assert not thread.is_alive()
    assert broker.depth(RESULTS) == 0


def binary(number: int) -> list[tuple[str, str]]:
    named = {"specversion": "1.0", "id": f"m{number}", "source": SOURCE, "type": "dev.knative.rabbitmq.event"}
    return [(f"ce-{name}", value) for name, value in named.items()]


def received(function: str, request: Request) -> int:
    return Receiver(loading.load(function)).respond(request, Context(function)).status


BRINGERS = [by_amazon_mq, by_knative, by_structured_events, by_google, by_azure, by_consumer]


@pytest.mark.parametrize("bring", BRINGERS)
def test_messages_have_the_same_effect_whoever_brings_them(
    bring: Callable[[Sequence[bytes]], None], at: Settings
) -> None:
    prepare(at)
    messages = bodies(at)
    bring(messages)
    assert effects(at) == Effects(
        dead=[
            (messages[6], "UNKNOWN_TASK"),
            (messages[7], "MALFORMED_MESSAGE"),
            (messages[8], "MALFORMED_MESSAGE"),
        ],
        announced=[],
        tasks=[
            ("IN_PROGRESS", 60, "gemütlich ☃", 2, None, None, False, False),
            ("SUCCESS", 100, None, 2, None, "#ba997a", True, True),
            ("FAILED", 0, None, 2, "NO_FACE", None, False, True),
            UNTOUCHED,
            UNTOUCHED,
        ],
        due=[AVATAR, OLD],  # the avatar that came twice is looked at again, and kept since its task has it
        sent=False,
        stored={AVATAR, OLD},
    )


# ---- Schedules ------------------------------------------------------------------------------------------------------
def by_eventbridge(function: str) -> None:
    loading.load(function)(schedule_event(function, datetime.now(UTC)), Context(function))


def by_ping_source(function: str) -> None:
    ping = {
        "ce-specversion": "1.0",
        "ce-id": "7",
        "ce-source": f"/apis/v1/namespaces/facet/pingsources/{function}",
        "ce-type": "dev.knative.sources.ping",
        "ce-time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}789Z",
    }
    assert received(function, Request("POST", "/", headers=Headers(ping.items()))) == 204


def by_google_scheduler(function: str) -> None:
    headers = {name: value for name, value in binary(1) if name != "ce-type"}
    gcf.cloud_event(loading.load(function))(from_http({**headers, "ce-type": "facet.tick"}, b""))


def by_azure_timer(function: str) -> None:
    timer: Any = SimpleNamespace(past_due=False)
    view: Callable[[func.TimerRequest, Any], None] = azure.scheduled(loading.load(function))
    view(timer, AZURES)


def by_command(function: str) -> None:
    assert invoke.main([function, "--scheduled"]) == 0


CLOCKS = [by_eventbridge, by_ping_source, by_google_scheduler, by_azure_timer, by_command]


@pytest.mark.parametrize("tick", CLOCKS)
def test_schedules_have_the_same_effect_whoever_keeps_the_time(tick: Callable[[str], None], at: Settings) -> None:
    prepare(at)
    for function in ("reap_tasks", "relay_outbox", "purge_expired"):
        tick(function)
    assert effects(at) == Effects(
        dead=[],
        announced=[UUIDS[4]],
        tasks=[
            UNTOUCHED,
            UNTOUCHED,
            UNTOUCHED,
            ("FAILED", 0, None, 2, "DEADLINE_EXCEEDED", None, False, True),
            ("PENDING", 0, None, 2, None, None, False, False),
        ],
        due=[f"{UUIDS[3]}.glb"],  # what its agent may still bring
        sent=True,
        stored={AVATAR},
    )
