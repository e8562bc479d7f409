"""Writing models to a real object store."""

import dataclasses

import pytest
from types_boto3_s3 import S3Client

from local.agent.settings import Settings
from local.agent.storage import Storage
from local.agent.task import TaskFailed, Unavailable
from tests.stacks import free_port


@pytest.fixture
def settings(buckets: dict[str, str]) -> Settings:
    unused = {"RABBITMQ_HOST": "unused", "RABBITMQ_USER": "unused", "RABBITMQ_PASSWORD": "unused"}
    return Settings.read({**buckets, **unused})


def test_a_model_is_stored_with_its_type(settings: Settings, s3: S3Client, bucket: str) -> None:
    Storage(settings).put(bucket, "a.glb", b"glTF")
    stored = s3.get_object(Bucket=bucket, Key="a.glb")
    assert stored["Body"].read() == b"glTF"
    assert stored["ContentType"] == "model/gltf-binary"


def test_the_same_key_is_simply_written_again(settings: Settings, s3: S3Client, bucket: str) -> None:
    for model in (b"first", b"second"):
        Storage(settings).put(bucket, "again.glb", model)
    assert s3.get_object(Bucket=bucket, Key="again.glb")["Body"].read() == b"second"


def test_a_bucket_that_does_not_exist_fails_the_task(settings: Settings) -> None:
    with pytest.raises(TaskFailed, match="NoSuchBucket"):
        Storage(settings).put("no-such-bucket", "a.glb", b"glTF")


def test_a_wrong_key_fails_the_task_without_telling_it(settings: Settings, bucket: str) -> None:
    wrong = dataclasses.replace(settings, secret_key="wrong" * 8)
    with pytest.raises(TaskFailed, match="403") as failure:
        Storage(wrong).put(bucket, "a.glb", b"glTF")
    assert "wrong" not in str(failure.value)


def test_a_store_that_is_away_may_be_tried_again(settings: Settings) -> None:
    away = dataclasses.replace(settings, endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable, match="away"):
        Storage(away).put("3d-files", "a.glb", b"glTF")
