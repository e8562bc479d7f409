"""S3's clients reach the object store through the edge as if they talked to it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import localstack_client.session  # type: ignore[import-untyped] # ships no py.typed
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from local.edge.objects import ObjectStore
from local.gateway.incoming import Incoming, Receive, Scope, Send
from tests.local.edge.conftest import AGENT, AGENT_SECRET, Emulation
from tests.local.services.objects.server import ACCESS, SECRET

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

AWS = Path(sys.executable).with_name("aws")


@pytest.fixture
def bucket(s3: "S3Client") -> str:
    name = f"bucket-{uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def test_objects_are_put_read_listed_and_deleted(s3: "S3Client", bucket: str) -> None:
    for key in ("a key/ü?&=+.txt", "a/../b", "//"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789", ContentType="text/plain", Metadata={"a": "b"})
        got = s3.get_object(Bucket=bucket, Key=key)
        assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"0123456789", "text/plain", {"a": "b"})
        assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=2-4")["Body"].read() == b"234"
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == 10
    assert {found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {
        "a key/ü?&=+.txt",
        "a/../b",
        "//",
    }
    s3.delete_object(Bucket=bucket, Key="a/../b")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="a/../b")


def test_big_files_go_through_in_pieces(s3: "S3Client", bucket: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(1_000_000) * 64)
    in_parts = TransferConfig(multipart_threshold=8_000_000, multipart_chunksize=16_000_000)
    whole = TransferConfig(multipart_threshold=1_000_000_000)
    for transfer in (in_parts, whole):
        s3.upload_file(str(tmp_path / "in"), bucket, "big", Config=transfer)
        s3.download_file(bucket, "big", str(tmp_path / "out"))
        assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


def test_presigned_urls_are_for_the_edge(s3: "S3Client", bucket: str, edge: Emulation) -> None:
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "x"})
    assert put.startswith(edge.url)
    assert httpx.put(put, content=b"presigned").status_code == 200
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "x"})
    assert httpx.get(get).content == b"presigned"
    assert httpx.get(get.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status_code == 403
    assert httpx.get(f"{edge.url}/{bucket}/x").status_code == 403


def test_a_client_that_waits_for_the_servers_word_gets_it(s3: "S3Client", bucket: str, edge: Emulation) -> None:
    url = httpx.URL(s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "x"}))
    head = f"PUT {url.raw_path.decode()} HTTP/1.1\r\nHost: localhost:{edge.port}\r\nContent-Length: 4\r\n"
    with socket.create_connection(("localhost", edge.port), timeout=10) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"four")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_big_upload_that_is_refused_gets_its_answer(edge: Emulation, bucket: str) -> None:
    stranger = edge.client("s3", AGENT, AGENT_SECRET)
    with pytest.raises(ClientError, match="AccessDenied"):
        stranger.put_object(Bucket=bucket, Key="x", Body=b"x" * 30_000_000)


def test_a_store_that_is_away_is_an_error_of_s3() -> None:
    async def away() -> httpx.Response:
        store = ObjectStore("http://127.0.0.1:1")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await store.answer(Incoming(scope, receive), send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            response = await client.get("/bucket")
        await store.close()
        return response

    response = asyncio.run(away())
    assert (response.status_code, "<Code>ServiceUnavailable</Code>" in response.text) == (503, True)


def test_localstack_client_works_with_the_keys(edge: Emulation, bucket: str) -> None:
    session = localstack_client.session.Session(
        aws_access_key_id=ACCESS, aws_secret_access_key=SECRET, localstack_host=f"localhost:{edge.port}"
    )
    objects = session.client("s3")
    objects.put_object(Bucket=bucket, Key="k", Body=b"v")
    assert session.resource("s3").Object(bucket, "k").get()["Body"].read() == b"v"
    answer = session.client("lambda").invoke(FunctionName="tick", Payload=b'{"a": 1}')
    assert json.load(answer["Payload"]) == {"a": 1}


def test_the_aws_command_line_works(edge: Emulation, bucket: str, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": edge.url,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def aws(*arguments: str) -> str:
        done = subprocess.run([AWS, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "file").write_bytes(os.urandom(20_000_000))
    s3 = ("--region", "us-east-1")
    aws("s3", "cp", "file", f"s3://{bucket}/folder/file", *s3)
    assert "20000000 file" in aws("s3", "ls", f"s3://{bucket}/folder/", *s3)
    aws("s3", "cp", f"s3://{bucket}/folder/file", "back", *s3)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()
    assert "tick" in aws("lambda", "list-functions", "--query", "Functions[].FunctionName", "--output", "text")
    event = ("--payload", '{"a": 1}')
    told = json.loads(aws("lambda", "invoke", "--function-name", "tick", "answer", *event))
    assert told == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads((tmp_path / "answer").read_text()) == {"a": 1}
    assert "000000000000" in aws("sts", "get-caller-identity")
