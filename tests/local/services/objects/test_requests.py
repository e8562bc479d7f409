"""Requests that S3 knows and this server does not, requests that nobody knows, and rights of keys."""

import http.client
import io
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from defusedxml.ElementTree import fromstring
from minio.error import S3Error

from tests.local.services.objects.server import ACCESS, HOST, KEYS, SECRET, Server, running

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

AGENT: dict[str, Any] = {
    "access_key": "agent",
    "secret_key": "secret-of-agent",
    "allow": {"models": ["read", "write"], "inputs": ["read"]},
}
WRITER: dict[str, Any] = {"access_key": "writer", "secret_key": "secret-of-writer", "allow": {"models": ["write"]}}
ABROAD: dict[str, Any] = {"access_key": "abroad", "secret_key": "secret-of-abroad", "region": "eu-central-1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("s3"), [*KEYS, AGENT, WRITER, ABROAD]) as started:
        owner = started.boto()
        for name in ("models", "inputs", "private"):
            owner.create_bucket(Bucket=name)
            owner.put_object(Bucket=name, Key="there", Body=b"there")
        yield started


def as_key(server: Server, key: dict[str, Any]) -> "S3Client":
    return server.boto(key["access_key"], key["secret_key"])


def refused(exc: pytest.ExceptionInfo[ClientError]) -> bool:
    answer = exc.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"] == 403


# Rights


def test_a_key_does_what_it_is_allowed(server: Server) -> None:
    agent = as_key(server, AGENT)
    assert agent.get_object(Bucket="inputs", Key="there")["Body"].read() == b"there"
    agent.put_object(Bucket="models", Key="mine", Body=b"glb")
    assert agent.get_object(Bucket="models", Key="mine")["Body"].read() == b"glb"
    agent.copy_object(Bucket="models", Key="copy", CopySource={"Bucket": "inputs", "Key": "there"})
    agent.delete_object(Bucket="models", Key="copy")
    assert [bucket["Name"] for bucket in agent.list_buckets()["Buckets"]] == ["inputs", "models"]


def test_a_key_does_nothing_else(server: Server) -> None:
    agent = as_key(server, AGENT)
    cors: Any = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    attempts: list[Callable[[], object]] = [
        lambda: agent.get_object(Bucket="private", Key="there"),
        lambda: agent.get_object(Bucket="no-such-bucket", Key="there"),
        lambda: agent.list_objects_v2(Bucket="private"),
        lambda: agent.head_bucket(Bucket="private"),
        lambda: agent.put_object(Bucket="private", Key="there", Body=b"x"),
        lambda: agent.put_object(Bucket="inputs", Key="there", Body=b"x"),
        lambda: agent.delete_object(Bucket="inputs", Key="there"),
        lambda: agent.delete_objects(Bucket="inputs", Delete={"Objects": [{"Key": "there"}]}),
        lambda: agent.create_multipart_upload(Bucket="inputs", Key="there"),
        lambda: agent.copy_object(Bucket="models", Key="stolen", CopySource={"Bucket": "private", "Key": "there"}),
        lambda: agent.create_bucket(Bucket="another"),
        lambda: agent.delete_bucket(Bucket="models"),
        lambda: agent.put_bucket_cors(Bucket="models", CORSConfiguration=cors),
        lambda: agent.delete_bucket_cors(Bucket="models"),
    ]
    for attempt in attempts:
        with pytest.raises(ClientError) as exc:
            attempt()
        assert refused(exc)
    assert server.boto().get_object(Bucket="inputs", Key="there")["Body"].read() == b"there"


def test_a_part_is_not_copied_out_of_a_bucket_that_the_key_may_not_read(server: Server) -> None:
    agent = as_key(server, AGENT)
    upload = agent.create_multipart_upload(Bucket="models", Key="a")["UploadId"]
    with pytest.raises(ClientError) as exc:
        agent.upload_part_copy(
            Bucket="models",
            Key="a",
            UploadId=upload,
            PartNumber=1,
            CopySource={"Bucket": "private", "Key": "there"},
        )
    assert refused(exc)


def test_who_may_only_write_cannot_read_but_can_use_minio_py(server: Server) -> None:
    minio = server.minio(WRITER["access_key"], WRITER["secret_key"])
    assert minio.bucket_exists("models")
    minio.put_object("models", "written", io.BytesIO(b"x"), 1)
    with pytest.raises(S3Error, match="AccessDenied"):
        minio.get_object("models", "written")


def test_a_presigned_address_has_the_rights_of_its_key(server: Server) -> None:
    agent = as_key(server, AGENT)
    for bucket, expected in (("inputs", 200), ("private", 403)):
        address = agent.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "there"})
        assert httpx.get(address).status_code == expected


# Signatures in time and place


def test_a_request_is_signed_for_the_region_of_its_key(server: Server) -> None:
    minio = server.minio(ABROAD["access_key"], ABROAD["secret_key"])
    assert minio.bucket_exists("models"), "minio-py asks for the region first"
    request = AWSRequest("GET", f"{server.url}/models/there")
    S3SigV4QueryAuth(Credentials(ABROAD["access_key"], ABROAD["secret_key"]), "s3", "us-east-1").add_auth(request)
    reply = httpx.get(str(request.url))
    assert (reply.status_code, "<Region>eu-central-1</Region>" in reply.text) == (400, True)


def test_a_signature_in_headers_and_address_at_once_is_refused(server: Server) -> None:
    reply = server.signed("GET", "/models/there", {"X-Amz-Algorithm": "AWS4-HMAC-SHA256"})
    assert (reply.status, reply.code) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("AWS owner:signature", "InvalidRequest"),
        ("Bearer token", "InvalidRequest"),
        ("AWS4-HMAC-SHA256 nonsense", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=owner, SignedHeaders=host, Signature=0", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed"),
    ],
)
def test_an_authorization_must_be_readable(server: Server, header: str, code: str) -> None:
    headers = {"Authorization": header, "x-amz-date": "20260101T000000Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    reply = server.send("GET", "/models/there", headers)
    assert (reply.status, reply.code) == (400, code)


def test_a_presigned_address_lives_at_most_a_week(server: Server) -> None:
    for seconds in (0, 604_801):
        request = AWSRequest("GET", f"{server.url}/models/there")
        S3SigV4QueryAuth(Credentials(ACCESS, SECRET), "s3", "us-east-1", seconds).add_auth(request)
        assert httpx.get(str(request.url)).status_code == 400


# What is not implemented, not allowed, not readable


@pytest.mark.parametrize("parameter", ["acl", "policy", "tagging", "versioning", "lifecycle", "versionId", "uploads"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_not_implemented_says_so_and_does_nothing(server: Server, method: str, parameter: str) -> None:
    for path in ("/models", "/models/there"):
        reply = server.signed(method, path, {parameter: ""}, body=b"<a/>" if method == "PUT" else b"")
        assert (reply.status, reply.code) == (501, "NotImplemented")
    assert server.boto().get_object(Bucket="models", Key="there")["Body"].read() == b"there"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-acl": "public-read"},
        {"x-amz-tagging": "a=b"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {"x-amz-object-lock-mode": "GOVERNANCE"},
    ],
)
def test_a_promise_that_cannot_be_kept_is_not_made(server: Server, headers: dict[str, str]) -> None:
    assert server.signed("PUT", "/models/promise", headers=headers, body=b"x").status == 501
    assert server.signed("GET", "/models/promise").status == 404


def test_a_method_that_nothing_answers_is_not_allowed(server: Server) -> None:
    for method, path in (("POST", "/models/there"), ("DELETE", "/"), ("PATCH", "/models")):
        assert (server.signed(method, path).status, server.signed(method, path).code) == (405, "MethodNotAllowed")


def test_parameters_that_mean_nothing_do_not_matter(server: Server) -> None:
    assert server.signed("GET", "/models/there", {"x-id": "GetObject", "v": "1"}).body == b"there"


def test_metadata_has_a_limit(server: Server) -> None:
    s3 = server.boto()
    s3.put_object(Bucket="models", Key="a", Body=b"", Metadata={"k": "v" * 2000})
    with pytest.raises(ClientError, match="MetadataTooLarge"):
        s3.put_object(Bucket="models", Key="a", Body=b"", Metadata={"k": "v" * 2048})


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b"<Delete/>",
        b"<Delete><Object/></Delete>",
        b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
        b'<!DOCTYPE Delete [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
        b'<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
        b"\xff\xfe\x00",
    ],
)
def test_a_document_must_be_what_is_expected_and_harmless(server: Server, document: bytes) -> None:
    reply = server.signed("POST", "/models", {"delete": ""}, body=document)
    assert (reply.status, reply.code) in ((400, "MalformedXML"), (411, "MissingContentLength"))


def test_a_document_has_a_limit(server: Server) -> None:
    reply = server.signed("POST", "/models", {"delete": ""}, body=b" " * ((4 << 20) + 1))
    assert (reply.status, reply.code) == (400, "MaxMessageLengthExceeded")


def test_an_upload_says_its_length_and_is_not_larger_than_an_object_may_be(server: Server) -> None:
    for headers, code in (
        ({"transfer-encoding": "chunked"}, "MissingContentLength"),
        ({"content-length": str(6 << 30)}, "EntityTooLarge"),
    ):
        request = AWSRequest("PUT", f"{server.url}/models/large", {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        S3SigV4QueryAuth(Credentials(ACCESS, SECRET), "s3", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
        connection.putrequest("PUT", str(request.url).removeprefix(server.url))
        for name, value in {**headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "expect": "100-continue"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse().read().decode()
        connection.close()
        assert f"<Code>{code}</Code>" in reply


@pytest.mark.parametrize("target", ["/models/%ff", "/models?prefix=%ff", "/%ff/a"])
def test_an_address_is_utf8(server: Server, target: str) -> None:
    reply = server.send("GET", target)
    assert (reply.status, reply.code) == (400, "InvalidURI")


@pytest.mark.parametrize(
    "request_line", [b"GET /models/\xc3\xbc HTTP/1.1", b"GET //models HTTP/1.1", b"nonsense", b"GET * HTTP/1.1"]
)
def test_what_is_hardly_http_is_refused_and_the_server_lives(server: Server, request_line: bytes) -> None:
    with socket.create_connection((HOST, server.port), timeout=5) as connection:
        connection.sendall(request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(100).split(b" ")[1] in (b"400", b"403", b"404", b"405")
    assert httpx.get(f"{server.url}/minio/health/live").status_code == 200


def test_a_refusal_is_a_document_that_names_what_was_asked(server: Server) -> None:
    reply = server.signed("GET", "/models/no <such> key")
    error = fromstring(reply.body)
    assert (reply.status, error.tag, error.findtext("Code")) == (404, "Error", "NoSuchKey")
    assert (error.findtext("Key"), error.findtext("Resource")) == ("no <such> key", "/models/no <such> key")
    assert reply.headers["x-amz-request-id"]
    assert reply.headers["content-type"] == "application/xml"
