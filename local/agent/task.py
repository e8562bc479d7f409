"""The task message as this agent reads it, and how a task may fail."""

import json
import re
import uuid
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class MalformedTask(Exception):
    """The message is no task; `str()` names the field and repeats no value."""


class TaskFailed(Exception):
    """The task cannot be done, now or later; `str()` is for the person who waits for it."""


class Unavailable(Exception):
    """Something the task needs is away for now: the task goes back to the queue."""


@dataclass(frozen=True)
class Task:
    request_uuid: str
    input_file_url: str
    output_bucket: str

    @property
    def file_name(self) -> str:
        """The key of its model in the output bucket."""
        return f"{self.request_uuid}.glb"


def read_task(body: bytes) -> Task:
    """Raises MalformedTask. Fields this agent has no use for are left alone."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise MalformedTask("the message is not JSON") from exc
    details = _member(message, "task_input_metadata", dict)
    return Task(
        request_uuid=_uuid(_member(message, "request_uuid", str)),
        input_file_url=_web_address(_member(details, "input_file_url", str)),
        output_bucket=_bucket(_member(details, "output_bucket", str)),
    )


def _member(message: object, name: str, kind: type[T]) -> T:
    if not isinstance(message, dict) or not isinstance(value := message.get(name), kind):
        raise MalformedTask(f"{name} is missing or of a wrong type")
    return value


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as exc:
        raise MalformedTask("request_uuid is no UUID") from exc


def _web_address(text: str) -> str:
    try:
        address = urlsplit(text)
    except ValueError as exc:
        raise MalformedTask("input_file_url is no URL") from exc
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise MalformedTask("input_file_url is no http or https URL")
    return text


def _bucket(text: str) -> str:
    if not BUCKET.fullmatch(text):
        raise MalformedTask("output_bucket is no bucket name")
    return text
