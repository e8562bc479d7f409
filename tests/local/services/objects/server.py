"""The S3 server as a process of its own, and the clients that its tests talk through."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import boto3
import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from minio import Minio

from tests.stacks import free_port

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PROJECT = Path(__file__).parents[4]
ACCESS, SECRET = "owner", "secret-of-the-owner"
KEYS: Sequence[Mapping[str, Any]] = ({"access_key": ACCESS, "secret_key": SECRET},)
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error document."""
        return self.body.decode().partition("<Code>")[2].partition("</Code>")[0]


@dataclass(frozen=True)
class Server:
    port: int
    data: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def boto(self, access: str = ACCESS, secret: str = SECRET) -> "S3Client":
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            config=config,
        )
        return client

    def minio(self, access: str = ACCESS, secret: str = SECRET) -> Minio:
        return Minio(f"{HOST}:{self.port}", access_key=access, secret_key=secret, secure=False)

    def send(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        """A request exactly as given: nothing normalised, nothing added but Host and Content-Length."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            connection.request(method, target, body or None, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, response.msg, response.read())
        finally:
            connection.close()

    def signed(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """A request signed in its headers; `path` is not yet encoded."""
        target = quote(path, safe="/~") + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        request = AWSRequest(method, self.url + target, dict(headers or {}), body)
        S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "us-east-1").add_auth(request)
        return self.send(method, target, dict(request.headers.items()), body)


def start(data: Path, keys: Sequence[Mapping[str, Any]] = KEYS) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "local.services.objects", "--data", str(data), "--host", HOST, "--port", str(port)]
    environment = {**os.environ, "OBJECTS_KEYS": json.dumps(keys)}
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL)
    server = Server(port, data, process)
    try:
        _wait_until_healthy(server)
    except BaseException:
        stop(server)
        raise
    return server


def stop(server: Server) -> None:
    server.process.terminate()
    try:
        server.process.wait(timeout=10)
    finally:
        server.process.kill()
        server.process.wait()


@contextmanager
def running(data: Path, keys: Sequence[Mapping[str, Any]] = KEYS) -> Iterator[Server]:
    server = start(data, keys)
    try:
        yield server
    finally:
        stop(server)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended with {server.process.returncode}")
        try:
            httpx.get(f"{server.url}/minio/health/live").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.02)
    raise TimeoutError("the server did not become healthy")
