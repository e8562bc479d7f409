"""What was acknowledged is there, whole, whatever happens to the server or to the client."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.local.services.objects.server import HOST, KEYS, PROJECT, Server, running, start, stop, wait_until

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def body(number: int) -> bytes:
    """Tells its number in every byte that a reader looks at."""
    return b"%08d" % number * 12_500


def kill_during(server: Server, act: Callable[["S3Client", int], None], *, after: int) -> list[int]:
    """Numbers that were acknowledged by a server that was killed in the middle of it."""
    acknowledged: list[int] = []
    numbers = iter(range(10_000))

    def work() -> None:
        s3 = server.boto()
        for number in numbers:
            try:
                act(s3, number)
            except (BotoCoreError, ClientError):
                return
            acknowledged.append(number)
            if len(acknowledged) >= after:  # two may have been added before either looks
                server.process.kill()

    with ThreadPoolExecutor(4) as pool:
        for worker in [pool.submit(work) for _ in range(4)]:
            worker.result(timeout=60)
    assert server.process.wait() == -signal.SIGKILL
    return acknowledged


def test_no_acknowledged_object_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    def put(s3: "S3Client", number: int) -> None:
        s3.put_object(Bucket="kept", Key=f"key/{number}", Body=body(number))

    with running(tmp_path) as server:
        server.boto().create_bucket(Bucket="kept")
        acknowledged = kill_during(server, put, after=200)
    with running(tmp_path) as again:
        s3 = again.boto()
        found = {
            entry["Key"]: entry["Size"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="kept")
            for entry in page["Contents"]
        }
        assert {f"key/{number}" for number in acknowledged} <= found.keys()
        for key in found:
            number = int(key.removeprefix("key/"))
            assert s3.get_object(Bucket="kept", Key=key)["Body"].read() == body(number)
        assert files(tmp_path) == indexed(tmp_path)


def test_an_object_replaced_again_and_again_is_whole_when_the_server_is_killed(tmp_path: Path) -> None:
    def put(s3: "S3Client", number: int) -> None:
        s3.put_object(Bucket="kept", Key=f"key/{number % 3}", Body=body(number))

    with running(tmp_path) as server:
        server.boto().create_bucket(Bucket="kept")
        acknowledged = kill_during(server, put, after=100)
    whole = {body(number) for number in range(len(acknowledged) + 10)}
    with running(tmp_path) as again:
        s3 = again.boto()
        assert {s3.get_object(Bucket="kept", Key=f"key/{key}")["Body"].read() for key in range(3)} <= whole
        assert files(tmp_path) == indexed(tmp_path)


def files(data: Path) -> set[str]:
    assert not list((data / "drafts").iterdir())
    return {path.name for path in (data / "objects").iterdir()}


def indexed(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "index.sqlite")) as conn:
        return {row[0] for row in conn.execute("SELECT file FROM objects UNION SELECT file FROM parts")}


def test_everything_else_lasts_too(tmp_path: Path) -> None:
    rules: Any = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["http://a.test"]}]}
    with running(tmp_path) as server:
        s3 = server.boto()
        s3.create_bucket(Bucket="kept")
        s3.put_bucket_cors(Bucket="kept", CORSConfiguration=rules)
        upload: Any = {"Bucket": "kept", "Key": "multi"}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
        s3.put_object(Bucket="kept", Key="gone", Body=b"")
        s3.delete_object(Bucket="kept", Key="gone")
    with running(tmp_path) as server:
        s3 = server.boto()
        assert s3.get_bucket_cors(Bucket="kept")["CORSRules"] == rules["CORSRules"]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        assert s3.get_object(Bucket="kept", Key="multi")["Body"].read() == b"part"
        assert s3.list_objects_v2(Bucket="kept")["KeyCount"] == 1


def test_what_nobody_refers_to_is_swept_up_at_the_start(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.boto().create_bucket(Bucket="kept")
        server.boto().put_object(Bucket="kept", Key="a", Body=b"a")
    (tmp_path / "objects" / "orphan").write_bytes(b"left by a crash")
    (tmp_path / "drafts" / "half").write_bytes(b"left by a crash")
    with running(tmp_path) as server:
        assert files(tmp_path) == indexed(tmp_path)
        assert server.boto().get_object(Bucket="kept", Key="a")["Body"].read() == b"a"


def test_an_upload_that_breaks_off_leaves_nothing(server: Server, s3: "S3Client", bucket: str) -> None:
    address = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "half"})
    connection = http.client.HTTPConnection(HOST, server.port)
    connection.putrequest("PUT", address.removeprefix(server.url))
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"x" * 500_000)
    drafts = server.data / "drafts"
    wait_until(lambda: any(path.stat().st_size for path in drafts.iterdir()))
    connection.close()
    wait_until(lambda: not any(drafts.iterdir()))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_no_body_is_held_in_memory(server: Server, s3: "S3Client", bucket: str, tmp_path: Path) -> None:
    size = 96 << 20
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate(size)
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    with source.open("rb") as file:
        s3.put_object(Bucket=bucket, Key="large", Body=file)
    read = sum(len(piece) for piece in s3.get_object(Bucket=bucket, Key="large")["Body"].iter_chunks(1 << 20))
    assert read == size
    assert process.memory_info().rss - before < 24 << 20


def test_sigterm_ends_the_server_soon_even_amid_an_upload_that_never_ends(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        s3 = server.boto()
        s3.create_bucket(Bucket="kept")
        address = s3.generate_presigned_url("put_object", Params={"Bucket": "kept", "Key": "half"})
        with (
            socket.create_connection((HOST, server.port)),
            closing(http.client.HTTPConnection(HOST, server.port)) as busy,
        ):
            busy.putrequest("PUT", address.removeprefix(server.url))
            busy.putheader("Content-Length", "1000000")
            busy.endheaders(b"x" * 1000)
            wait_until(lambda: any((tmp_path / "drafts").iterdir()))
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=10) == 0
    finally:
        stop(server)


def run(data: Path, keys: str | None, port: str = "1") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "OBJECTS_KEYS"}
    if keys is not None:
        environment["OBJECTS_KEYS"] = keys
    command = [sys.executable, "-m", "local.services.objects", "--data", str(data), "--port", port]
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (None, "OBJECTS_KEYS is not set"),
        ("[]", "OBJECTS_KEYS is empty"),
        ("{", "OBJECTS_KEYS is not valid"),
        ('[{"access_key": "a"}]', "0.secret_key"),
        ('[{"access_key": "a", "secret_key": "hushhushhush", "allow": {"b": ["own"]}}]', "0.allow.b"),
        (
            '[{"access_key": "a", "secret_key": "hushhushhush"}, {"access_key": "a", "secret_key": "hushhushhush"}]',
            "a more than once",
        ),
    ],
)
def test_without_usable_keys_the_server_says_why_and_no_secret(tmp_path: Path, keys: str | None, said: str) -> None:
    ended = run(tmp_path, keys)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hush" not in ended.stderr


def test_a_data_folder_has_one_server(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.boto().create_bucket(Bucket="kept")
        ended = run(tmp_path, json.dumps(KEYS))
        assert ended.returncode == 1
        assert "is used by another S3 server" in ended.stderr
        assert server.boto().list_buckets()["Buckets"][0]["Name"] == "kept"


def test_a_data_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    with running(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_download_that_breaks_off_does_not_stop_others(server: Server, s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="large", Body=bytes(32 << 20))
    address = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "large"})
    for _ in range(5):
        connection = http.client.HTTPConnection(HOST, server.port)
        connection.request("GET", address.removeprefix(server.url))
        assert connection.getresponse().read(10) == bytes(10)
        connection.close()
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == 32 << 20
