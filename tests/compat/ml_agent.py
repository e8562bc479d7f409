"""An ML agent of the old system: pika for its messages, boto3 or minio-py for its files."""

import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pika  # type: ignore[import-untyped]  # pika ships no types
from botocore.config import Config
from minio import Minio

from tests.compat import glb

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

TASKS = "generation_tasks"
RESULTS = "generation_task_results"


@dataclass(frozen=True)
class Broker:
    """Where RabbitMQ listens and who is calling."""

    host: str
    port: int
    vhost: str
    user: str
    password: str

    def connect(self) -> Any:
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                host=self.host,
                port=self.port,
                virtual_host=self.vhost,
                credentials=pika.PlainCredentials(self.user, self.password),
            )
        )


@dataclass(frozen=True)
class Storage:
    """Where S3 listens and the agent's own keys."""

    url: str
    access_key: str
    secret_key: str

    def put_with_boto3(self, bucket: str, name: str, data: bytes) -> None:
        with self._boto3() as client:
            client.put_object(Bucket=bucket, Key=name, Body=data)

    def put_in_parts_with_boto3(self, bucket: str, name: str, data: bytes) -> None:
        """As boto3 does by itself with a file over 8 MB."""
        with self._boto3() as client:
            client.upload_fileobj(io.BytesIO(data), bucket, name)

    def put_with_minio(self, bucket: str, name: str, data: bytes) -> None:
        self._minio().put_object(bucket_name=bucket, object_name=name, data=io.BytesIO(data), length=len(data))

    def put_in_parts_with_minio(self, bucket: str, name: str, data: bytes) -> None:
        """As minio-py does with a stream whose length it is not told."""
        self._minio().put_object(
            bucket_name=bucket, object_name=name, data=io.BytesIO(data), length=-1, part_size=5 * 1024 * 1024
        )

    @contextmanager
    def _boto3(self) -> "Iterator[S3Client]":
        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        yield client
        client.close()

    def _minio(self) -> Minio:
        return Minio(
            endpoint=urlsplit(self.url).netloc, access_key=self.access_key, secret_key=self.secret_key, secure=False
        )


@dataclass(frozen=True)
class Delivery:
    """One task message, not acknowledged yet."""

    tag: int
    body: bytes
    properties: Any

    @property
    def task(self) -> dict[str, Any]:
        task: dict[str, Any] = json.loads(self.body)
        return task

    @property
    def request_uuid(self) -> str:
        return str(self.task["request_uuid"])

    @property
    def output_bucket(self) -> str:
        return str(self.task["task_input_metadata"]["output_bucket"])


class Agent:
    """Takes one task at a time; with `declares` it first declares both queues as plain durable, as old agents do."""

    def __init__(self, broker: Broker, storage: Storage, *, declares: bool) -> None:
        self.storage = storage
        self.connection = broker.connect()
        self.channel = self.connection.channel()
        self.channel.basic_qos(prefetch_count=1)
        if declares:
            self.channel.queue_declare(queue=TASKS, durable=True)
            self.channel.queue_declare(queue=RESULTS, durable=True)

    def close(self) -> None:
        self.connection.close()

    def take(self, request_uuid: str, *, within: float = 20) -> Delivery:
        """Waits for one task; messages of other tasks before it are acknowledged and dropped."""
        taken: list[Delivery] = []

        def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            delivery = Delivery(tag=method.delivery_tag, body=body, properties=properties)
            if delivery.request_uuid == request_uuid:
                taken.append(delivery)
            else:
                channel.basic_ack(method.delivery_tag)

        consumer = self.channel.basic_consume(queue=TASKS, on_message_callback=on_message)
        deadline = time.monotonic() + within
        while not taken and time.monotonic() < deadline:
            self.connection.process_data_events(time_limit=0.1)
        self.channel.basic_cancel(consumer)
        assert taken, f"no message of task {request_uuid} on {TASKS} within {within:g} s"
        return taken[0]

    def acknowledge(self, delivery: Delivery) -> None:
        self.channel.basic_ack(delivery.tag)

    def publish(self, body: Mapping[str, object] | bytes) -> None:
        """To the results queue through the default exchange, without any property, as the old agents did."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.channel.basic_publish(exchange="", routing_key=RESULTS, body=raw)

    def report(self, request_uuid: str, status: str) -> None:
        self.publish({"request_uuid": request_uuid, "status": status})

    def send_result(
        self, request_uuid: str, bucket: str, file_name: str, skin_color_hex: str | None = "#ba997a"
    ) -> None:
        self.publish(
            {
                "request_uuid": request_uuid,
                "minio_metadata": {"bucket": bucket, "file_name": file_name},
                "mesh_metadata": {"skin_color_hex": skin_color_hex},
            }
        )

    def finish(self, request_uuid: str, *, skin_color_hex: str | None = "#ba997a") -> None:
        """A whole task, from its message to its result, in the order of the old agents."""
        delivery = self.take(request_uuid)
        self.report(request_uuid, "IN_PROGRESS")
        file_name = f"{request_uuid}.glb"
        self.storage.put_with_boto3(delivery.output_bucket, file_name, glb.triangle())
        self.send_result(request_uuid, delivery.output_bucket, file_name, skin_color_hex)
        self.acknowledge(delivery)
