"""What agents report ends in the same states however a cloud's trigger delivers it."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types
import psycopg
import pytest

from facet import broker, objects
from local.cloud.environment import DEFAULTS
from local.invoker import Invoker
from local.template import load
from local.triggers.queue import Profile, QueueTrigger
from tests.conftest import PROJECT, Settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]
PATIENCE = 60
DEAD = f"{api.RESULTS_QUEUE}.dead"


def publish(*bodies: bytes | Mapping[str, object]) -> None:
    for body in bodies:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        content_type = "text/plain" if raw == b"hello" else "application/json"
        broker.publish(queue=api.RESULTS_QUEUE, body=raw, message_id=str(uuid.uuid4()), content_type=content_type)


def report(task: str, status: str, **more: object) -> dict[str, object]:
    return {"request_uuid": task, "status": status, **more}


async def deliver(settings: Settings, profile: Profile, folder: Path, left: "asyncio.Future[None]") -> None:
    """Run the project's own trigger, with its function in sandboxes, until `left` is done."""
    template = load(PROJECT / "template.yaml", {**DEFAULTS, **settings})
    [mapping] = template.queues
    account = pika.PlainCredentials(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"])
    parameters = pika.ConnectionParameters(
        settings["RABBITMQ_HOST"], int(settings["RABBITMQ_PORT"]), settings["RABBITMQ_VHOST"], account
    )
    invoker = Invoker(template, logs=folder, report=lambda _: None)
    await invoker.start()
    trigger = QueueTrigger(mapping, parameters, invoker.invoke, profile=profile, report=print, backoff=(0.1, 1.0))
    trigger.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await left
    finally:
        await trigger.stop()
        await invoker.stop()


@pytest.mark.parametrize("profile", ["lambda", "knative"])
def test_what_agents_report_ends_in_the_same_states(
    clean: Settings, profile: Profile, sql: Sql, queue: Queue, photo: bytes, model: bytes, tmp_path: Path
) -> None:
    person = api.person()
    done, bad, lost, begun, failed = (str(api.create(person.headers, photo).json()["request_uuid"]) for _ in range(5))
    bucket = clean["MINIO_3D_FILES_BUCKET"]
    objects.put(bucket, f"{done}.glb", model, content_type="model/gltf-binary")
    result = api.result_message(done, bucket)
    publish(report(done, "IN_PROGRESS", progress=40), result, result, report(done, "SUCCESS", progress=100))
    publish(report(bad, "IN_PROGRESS"), report(bad, "INVALID_INPUT", error={"code": "NO_FACE"}))
    publish(api.result_message(lost, bucket), b"hello", b"{", b"\xff", report(str(uuid.uuid4()), "IN_PROGRESS"))
    publish(report(failed, "FAILED", error={"code": "AGENT_ERROR"}), report(failed, "IN_PROGRESS", progress=5))
    publish(report(begun, "IN_PROGRESS", progress=10), report(begun, "IN_PROGRESS", progress=60))

    ended = {
        done: ("SUCCESS", None),
        bad: ("INVALID_INPUT", "NO_FACE"),
        lost: ("FAILED", "RESULT_MISSING"),
        begun: ("IN_PROGRESS", None),
        failed: ("FAILED", "AGENT_ERROR"),
    }

    def states() -> dict[str, tuple[str, str | None]]:
        rows = sql.execute("SELECT request_uuid::text, status, failure_code FROM tasks").fetchall()
        return {task: (status, code) for task, status, code in rows}

    def is_handled() -> bool:
        """All that leaves a trace has left it, the last message too: those before it have begun at least."""
        last = sql.execute("SELECT FROM tasks WHERE request_uuid = %s AND progress = 60", (begun,)).rowcount
        return bool(last) and states() == ended and broker.depth(DEAD) == 4

    async def run() -> None:
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivering = asyncio.create_task(deliver(clean, profile, tmp_path, left))
        while not delivering.done() and not is_handled():
            await asyncio.sleep(0.05)
        left.set_result(None)
        await delivering

    asyncio.run(run())
    assert states() == ended
    assert broker.depth(api.RESULTS_QUEUE) == 0
    dead = queue.take(DEAD)
    codes = sorted(str(properties.headers["x-error-code"]) for _, properties in dead)
    assert codes == ["MALFORMED_MESSAGE", "MALFORMED_MESSAGE", "MALFORMED_MESSAGE", "UNKNOWN_TASK"]
    assert {b"hello", b"{", b"\xff"} < {body for body, _ in dead}
