"""What functions are asked about: people, tasks and files that other built functions have made."""

import io
import secrets
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from PIL import Image

from tests.deploy.deployed import Deployed
from tests.functions import api, old_system
from tests.functions.conftest import Queue
from tests.functions.old_system import OldSystem
from tests.local.services.objects.server import running

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# A trial is repeated more often than a person would.
MANY = "100000/60"
LIMITS = dict.fromkeys(
    (
        "LIMIT_REGISTRATIONS_PER_ADDRESS",
        "LIMIT_SIGN_INS_PER_ADDRESS",
        "LIMIT_SIGN_INS_PER_ACCOUNT",
        "LIMIT_CREATES_PER_OWNER",
        "LIMIT_UPLOADS_PER_OWNER",
    ),
    MANY,
)
PATH = "/3d-model-generation/tasks"
TASKS_QUEUE = "generation_tasks"


@dataclass
class World:
    deployed: Deployed
    photo: bytes = field(repr=False)
    model: bytes = field(repr=False)
    old: OldSystem = field(repr=False)

    @cached_property
    def person(self) -> api.Person:
        """Somebody who stays."""
        return self.someone()

    @cached_property
    def avatar(self) -> str:
        """A task of that person, with an avatar."""
        return self.finished()

    @staticmethod
    def email() -> str:
        return f"{secrets.token_hex(8)}@example.org"

    def someone(self) -> api.Person:
        """Somebody new, signed in."""
        return api.person(self.email())

    def task(self) -> str:
        """An open task of the person who stays."""
        answer = api.create(self.person.headers, self.photo)
        assert answer.status == 201, answer.body
        return str(answer.json()["request_uuid"])

    def finished(self) -> str:
        """A task with an avatar."""
        task = self.task()
        self.finish(task)
        return task

    def finish(self, task: str) -> None:
        """What an agent does at the end."""
        bucket = self.deployed.settings["MINIO_3D_FILES_BUCKET"]
        self.s3.put_object(Bucket=bucket, Key=f"{task}.glb", Body=self.model, ContentType="model/gltf-binary")
        api.consume(api.result_message(task, bucket))

    def of_task(self, name: str, method: str, task: str, rest: str = "") -> api.Answer:
        return api.of_task(name, method, self.person.headers, task, rest)

    def status(self, task: str) -> str:
        return api.status(self.person.headers, task)

    def announced(self) -> list[tuple[bytes, Any]]:
        """The messages to agents, taken."""
        return Queue(self.deployed.settings).take(TASKS_QUEUE)

    def has_model(self, task: str) -> bool:
        bucket = self.deployed.settings["MINIO_3D_FILES_BUCKET"]
        return "Contents" in self.s3.list_objects_v2(Bucket=bucket, Prefix=task)

    @cached_property
    def s3(self) -> "S3Client":
        at = self.deployed.settings
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=at["MINIO_HOST"],
            aws_access_key_id=at["MINIO_ACCESS_KEY"],
            aws_secret_access_key=at["MINIO_SECRET_KEY"],
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        return client


@contextmanager
def made(build: Path, folder: Path, settings: Mapping[str, str], *, kind: type[Deployed] = Deployed) -> Iterator[World]:
    """What the built `migrate` makes of empty servers, and beside it a system to import from."""
    settings = {**settings, **LIMITS, "LIMIT_TASKS_IN_FLIGHT": "0"}
    with (
        kind(build, folder, settings=settings) as deployed,
        running(folder / "old-s3", old_system.S3_KEYS) as storage,
    ):
        api.local = deployed
        api.invoke("migrate", {})
        url = old_system.s3_url(storage)
        with old_system.restored(deployed.settings, deployed.settings["POSTGRES_DB"], url) as old:
            world = World(deployed, photo(), model(), old)
            client = storage.boto(old_system.S3_KEY, old_system.S3_SECRET)
            old_system.fill(client, old_system.files_of(old.settings), world.model)
            yield world


def photo() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, "JPEG")
    return out.getvalue()


def model() -> bytes:
    """The smallest GLB."""
    text = b'{"asset": {"version": "2.0"}}   '
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text
