"""Reading the task message: what it needs, and that nothing else counts."""

import json
from typing import Any

import pytest

from local.agent.task import MalformedTask, Task, read_task

UUID = "0b6c3c5e-6f0f-4a55-9c6a-3f0c3a1f4c11"
URL = "http://127.0.0.1:9000/input-images/a?X-Amz-Signature=0"


def message(**changes: Any) -> dict[str, Any]:
    """A task with some members of its body or of its metadata changed; None leaves one out."""
    details = {"input_file_url": URL, "emotions_files_urls": [], "output_bucket": "3d-files"}
    body = {"request_uuid": UUID, "task_client_type": "WEB_SERVICE", "task_input_metadata": details}
    for name, value in changes.items():
        part = details if name in details else body
        part[name] = value
        if value is None:
            del part[name]
    return body


def test_a_task_is_read() -> None:
    task = read_task(json.dumps(message()).encode())
    assert task == Task(request_uuid=UUID, input_file_url=URL, output_bucket="3d-files")
    assert task.file_name == f"{UUID}.glb"


def test_what_a_newer_backend_adds_is_left_alone() -> None:
    assert read_task(json.dumps(message(options={"style": 3})).encode()).request_uuid == UUID


def test_the_uuid_is_used_in_its_plain_form() -> None:
    assert read_task(json.dumps(message(request_uuid=f"{{{UUID.upper()}}}")).encode()).request_uuid == UUID


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"request_uuid": None}, "request_uuid"),
        ({"request_uuid": "../../etc/passwd"}, "request_uuid"),
        ({"request_uuid": 7}, "request_uuid"),
        ({"task_input_metadata": None}, "task_input_metadata"),
        ({"task_input_metadata": "x"}, "task_input_metadata"),
        ({"input_file_url": None}, "input_file_url"),
        ({"input_file_url": "file:///etc/passwd"}, "input_file_url"),
        ({"input_file_url": "ftp://example.org/a"}, "input_file_url"),
        ({"input_file_url": "http:///a"}, "input_file_url"),
        ({"input_file_url": "http://[::1"}, "input_file_url"),
        ({"output_bucket": None}, "output_bucket"),
        ({"output_bucket": ""}, "output_bucket"),
        ({"output_bucket": "3d-files/../other"}, "output_bucket"),
    ],
)
def test_a_malformed_task_is_refused_by_the_name_of_the_field(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(MalformedTask, match=named):
        read_task(json.dumps(message(**changes)).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"', b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedTask):
        read_task(body)


def test_a_refusal_does_not_repeat_the_presigned_url() -> None:
    with pytest.raises(MalformedTask) as refusal:
        read_task(json.dumps(message(input_file_url="ftp://secret-signature")).encode())
    assert "secret" not in str(refusal.value)
