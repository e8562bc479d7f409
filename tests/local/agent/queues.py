"""Queues of one test on the real broker, and the backend's side of them."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pika  # type: ignore[import-untyped]  # pika ships no types

from local.agent.settings import Settings

WITHIN = 60.0  # seconds a test waits for what must happen


@dataclass(frozen=True)
class Answer:
    body: dict[str, Any]
    properties: pika.BasicProperties


class Queues:
    """Tasks, results and dead letters as the backend declares them, under names of their own."""

    def __init__(self, broker: Mapping[str, str], *, kind: str) -> None:
        self._broker, self._kind = broker, kind
        self.tasks, self.results = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("tasks", "results"))
        self.dead = f"{self.tasks}.dead"
        self._connection = pika.BlockingConnection(
            pika.ConnectionParameters(
                host=broker["RABBITMQ_HOST"],
                port=int(broker["RABBITMQ_PORT"]),
                virtual_host=broker["RABBITMQ_VHOST"],
                credentials=pika.PlainCredentials(broker["RABBITMQ_USER"], broker["RABBITMQ_PASSWORD"]),
            )
        )
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def __enter__(self) -> "Queues":
        self.declare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for queue in (self.tasks, self.results, self.dead):
            self._channel.queue_delete(queue)
        self._connection.close()

    def declare(self) -> None:
        letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self.dead}
        limit = {"x-delivery-limit": 20} if self._kind == "quorum" else {}
        for queue, arguments in ((self.dead, {}), (self.results, {}), (self.tasks, {**letters, **limit})):
            self._channel.queue_declare(queue, durable=True, arguments={"x-queue-type": self._kind, **arguments})

    def delete_tasks(self) -> None:
        self._channel.queue_delete(self.tasks)

    def settings(self, **changes: Any) -> Settings:
        """The agent's, for these queues."""
        environment = {
            **self._broker,
            "RABBITMQ_TASKS_QUEUE": self.tasks,
            "RABBITMQ_TASKS_RESULTS_QUEUE": self.results,
            **dict.fromkeys(("MINIO_HOST", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"), "unused"),
        }
        environment |= changes
        return Settings.read(environment)

    def send(self, body: bytes, **properties: Any) -> None:
        self._channel.basic_publish(
            "", self.tasks, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True
        )

    def send_task(self, *, url: str = "http://127.0.0.1:1/photo", bucket: str = "3d-files", **properties: Any) -> str:
        """The request_uuid of a new task."""
        task = str(uuid.uuid4())
        details = {"input_file_url": url, "emotions_files_urls": [], "output_bucket": bucket}
        message = {"request_uuid": task, "task_client_type": "WEB_SERVICE", "task_input_metadata": details}
        self.send(json.dumps(message).encode(), **properties)
        return task

    def answer(self) -> Answer:
        """The next message to the backend."""
        got = self.wait_for(lambda: self._get(self.results), what="an answer of the agent")
        return Answer(json.loads(got[1]), got[0])

    def answers_until_end(self) -> list[Answer]:
        """All messages up to one that ends a task."""
        answers = [self.answer()]
        while answers[-1].body.get("status") == "IN_PROGRESS":
            answers.append(self.answer())
        return answers

    def dead_letter(self) -> bytes:
        body: bytes = self.wait_for(lambda: self._get(self.dead), what="a dead letter")[1]
        return body

    def waiting(self, queue: str) -> int:
        """Messages that are ready for delivery."""
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def consumers(self) -> int:
        return int(self._channel.queue_declare(self.tasks, passive=True).method.consumer_count)

    def wait_for(self, probe: Callable[[], Any], *, what: str) -> Any:
        deadline = time.monotonic() + WITHIN
        while not (found := probe()):
            assert time.monotonic() < deadline, f"not within {WITHIN:g} s: {what}"
            self._connection.sleep(0.02)
        return found

    def _get(self, queue: str) -> tuple[pika.BasicProperties, bytes] | None:
        method, properties, body = self._channel.basic_get(queue, auto_ack=True)
        return (properties, body) if method else None
