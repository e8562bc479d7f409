"""What the headers promise about a body is held against it; aws-chunked bodies are decoded and verified."""

import base64
import hashlib
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.local.services.objects.server import ACCESS, SECRET, Reply, Server

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BODY = b"facet " * 30_000
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY = hashlib.sha256().hexdigest()


class Signer(S3SigV4Auth):
    """Signs with a given content hash, and chunks after it."""

    def __init__(self, content: str) -> None:
        super().__init__(Credentials(ACCESS, SECRET), "s3", "us-east-1")
        self.content = content
        self.last = ""

    def payload(self, request: AWSRequest) -> str:
        return self.content

    def add_auth(self, request: AWSRequest) -> None:
        super().add_auth(request)
        self.last = request.headers["Authorization"].partition("Signature=")[2]
        self.request = request

    def next(self, purpose: str, *lines: str) -> str:
        timestamp, scope = self.request.context["timestamp"], self.credential_scope(self.request)
        text = "\n".join([f"AWS4-HMAC-SHA256-{purpose}", timestamp, scope, self.last, *lines])
        self.last = self.signature(text, self.request)
        return self.last


def chunked(signer: Signer, body: bytes, size: int, trailer: dict[str, str]) -> bytes:
    """The body as aws-chunked, signed when the scheme says so."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)] + [b""]
    signed = signer.content.startswith(SIGNED)
    encoded = b""
    for piece in pieces:
        extension = ""
        if signed:
            extension = f";chunk-signature={signer.next('PAYLOAD', EMPTY, hashlib.sha256(piece).hexdigest())}"
        encoded += f"{len(piece):x}{extension}\r\n".encode() + piece + (b"\r\n" if piece else b"")
    for name, value in trailer.items():
        encoded += f"{name}:{value}\r\n".encode()
    if signed and trailer:
        lines = "".join(f"{name}:{value}\n" for name, value in trailer.items())
        signature = signer.next("TRAILER", hashlib.sha256(lines.encode()).hexdigest())
        encoded += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return encoded + b"\r\n"


def put_chunked(
    server: Server,
    bucket: str,
    scheme: str,
    *,
    size: int = 65_536,
    trailer: dict[str, str] | None = None,
    spoil: Callable[[bytes], bytes] = bytes,
    decoded: int = len(BODY),
) -> Reply:
    target = f"/{bucket}/chunked"
    headers = {"x-amz-decoded-content-length": str(decoded), "content-encoding": "aws-chunked"}
    if trailer:
        headers["x-amz-trailer"] = ",".join(trailer)
    request = AWSRequest("PUT", server.url + target, headers)
    signer = Signer(scheme)
    signer.add_auth(request)
    body = spoil(chunked(signer, BODY, size, trailer or {}))
    return server.send("PUT", target, dict(request.headers.items()), body)


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc32(body: bytes) -> str:
    return base64_of(zlib.crc32(body).to_bytes(4, "big"))


def stored(s3: "S3Client", bucket: str) -> bytes | None:
    try:
        return s3.get_object(Bucket=bucket, Key="chunked")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None


@pytest.mark.parametrize("size", [1000, 65_536, len(BODY), 10 * len(BODY)])
def test_a_body_in_signed_chunks_is_decoded(server: Server, s3: "S3Client", bucket: str, size: int) -> None:
    assert put_chunked(server, bucket, SIGNED, size=size).status == 200
    assert stored(s3, bucket) == BODY
    assert "ContentEncoding" not in s3.head_object(Bucket=bucket, Key="chunked")


@pytest.mark.parametrize("scheme", [f"{SIGNED}-TRAILER", UNSIGNED_TRAILER])
def test_a_checksum_may_follow_the_body(server: Server, s3: "S3Client", bucket: str, scheme: str) -> None:
    reply = put_chunked(server, bucket, scheme, trailer={"x-amz-checksum-crc32": crc32(BODY)})
    assert (reply.status, reply.headers["x-amz-checksum-crc32"]) == (200, crc32(BODY))
    assert stored(s3, bucket) == BODY


@pytest.mark.parametrize("scheme", [f"{SIGNED}-TRAILER", UNSIGNED_TRAILER])
def test_a_wrong_checksum_behind_the_body_is_refused(server: Server, s3: "S3Client", bucket: str, scheme: str) -> None:
    reply = put_chunked(server, bucket, scheme, trailer={"x-amz-checksum-crc32": crc32(b"other")})
    assert (reply.status, reply.code, stored(s3, bucket)) == (400, "BadDigest", None)


SPOILED: dict[str, tuple[Callable[[bytes], bytes], int, str]] = {
    "a byte of a chunk": (lambda body: body.replace(b"facet", b"faceT", 1), 403, "SignatureDoesNotMatch"),
    "a signature": (lambda body: body.replace(b"signature=", b"signature=0")[:-1], 400, "IncompleteBody"),
    "the last chunk": (lambda body: body[: body.rindex(b"0;chunk")], 400, "IncompleteBody"),
    "half the body": (lambda body: body[: len(body) // 2], 400, "IncompleteBody"),
    "a size": (lambda body: b"-" + body, 400, "IncompleteBody"),
    "no chunks at all": (lambda body: b"x" * 10_000, 400, "InvalidRequest"),
    "nothing": (lambda body: b"", 400, "IncompleteBody"),
    "chunks swapped": (lambda body: swapped(body), 403, "SignatureDoesNotMatch"),
    "a chunk longer than it says": (lambda body: body.replace(b"10000;", b"0fff0;", 1), 403, "SignatureDoesNotMatch"),
}


def swapped(body: bytes) -> bytes:
    first = body.index(b"\r\n10000;") + 2
    second = body.index(b"\r\n", first + 100 + 65_536) + 2
    return body[first:second] + body[:first] + body[second:]


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_spoiled_body_changes_nothing(server: Server, s3: "S3Client", bucket: str, spoiled: str) -> None:
    spoil, status, code = SPOILED[spoiled]
    reply = put_chunked(server, bucket, SIGNED, spoil=spoil)
    assert (reply.status, reply.code, stored(s3, bucket)) == (status, code, None)


@pytest.mark.parametrize("decoded", [len(BODY) - 1, len(BODY) + 1, 0])
def test_the_decoded_length_is_held_to(server: Server, s3: "S3Client", bucket: str, decoded: int) -> None:
    reply = put_chunked(server, bucket, SIGNED, decoded=decoded)
    assert (reply.status, reply.code, stored(s3, bucket)) == (400, "IncompleteBody", None)


def test_the_trailer_is_the_one_announced(server: Server, s3: "S3Client", bucket: str) -> None:
    trailer = {"x-amz-checksum-crc32": crc32(BODY)}
    for spoil in (
        lambda body: body.replace(b"x-amz-checksum-crc32:", b"x-amz-checksum-sha1:"),
        lambda body: body[: body.rindex(b"x-amz-checksum")] + b"\r\n",
        lambda body: body[:-2] + b"".join(b"x-%d:y\r\n" % number for number in range(20)) + b"\r\n",
    ):
        reply = put_chunked(server, bucket, UNSIGNED_TRAILER, trailer=trailer, spoil=spoil)
        assert (reply.status, reply.code) == (400, "MalformedTrailerError")
    assert stored(s3, bucket) is None


def test_a_signed_trailer_is_verified(server: Server, s3: "S3Client", bucket: str) -> None:
    def spoil(body: bytes) -> bytes:
        return body.replace(b"trailer-signature:", b"trailer-signature:0")

    reply = put_chunked(server, bucket, f"{SIGNED}-TRAILER", trailer={"x-amz-checksum-crc32": crc32(BODY)}, spoil=spoil)
    assert (reply.status, reply.code, stored(s3, bucket)) == (403, "SignatureDoesNotMatch", None)


def put_whole(server: Server, bucket: str, headers: dict[str, str], content: str) -> Reply:
    target = f"/{bucket}/whole"
    request = AWSRequest("PUT", server.url + target, headers)
    Signer(content).add_auth(request)
    return server.send("PUT", target, dict(request.headers.items()), b"data")


GOOD = {
    "content-md5": base64_of(hashlib.md5(b"data").digest()),  # noqa: S324 - what the header is
    "x-amz-checksum-crc32": crc32(b"data"),
    "x-amz-checksum-crc32c": "rth90Q==",
    "x-amz-checksum-sha1": base64_of(hashlib.sha1(b"data").digest()),  # noqa: S324 - what the header is
    "x-amz-checksum-sha256": base64_of(hashlib.sha256(b"data").digest()),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_promised_checksum_is_verified(server: Server, bucket: str, name: str) -> None:
    good, plain = GOOD[name], "UNSIGNED-PAYLOAD"
    right = put_whole(server, bucket, {name: good}, plain)
    assert right.status == 200
    assert name == "content-md5" or right.headers[name] == good
    wrong = base64_of(bytes(len(base64.b64decode(good))))
    refused = put_whole(server, bucket, {name: wrong}, plain)
    assert (refused.status, refused.code) == (400, "BadDigest")
    for unreadable in ("AAAA", "not base64"):
        refused = put_whole(server, bucket, {name: unreadable}, plain)
        assert (refused.status, refused.code) == (400, "InvalidDigest")


def test_a_checksum_that_nobody_knows_is_refused(server: Server, bucket: str) -> None:
    refused = put_whole(server, bucket, {"x-amz-checksum-adler": "AAAA"}, "UNSIGNED-PAYLOAD")
    assert (refused.status, refused.code) == (400, "InvalidRequest")


def test_the_signed_digest_of_the_body_is_verified(server: Server, bucket: str) -> None:
    good = hashlib.sha256(b"data").hexdigest()
    assert put_whole(server, bucket, {}, good).status == 200
    refused = put_whole(server, bucket, {}, hashlib.sha256(b"other").hexdigest())
    assert (refused.status, refused.code) == (400, "XAmzContentSHA256Mismatch")
    refused = put_whole(server, bucket, {}, "STREAMING-SOMETHING")
    assert (refused.status, refused.code) == (400, "InvalidArgument")


def test_the_decoded_length_of_chunks_must_be_said(server: Server, bucket: str) -> None:
    refused = put_whole(server, bucket, {}, SIGNED)
    assert (refused.status, refused.code) == (411, "MissingContentLength")


def test_checksums_are_told_to_readers_who_ask(s3: "S3Client", bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="a", Body=b"data", ChecksumAlgorithm="SHA256")
    assert put["ChecksumSHA256"] == GOOD["x-amz-checksum-sha256"]
    told = s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert told["ChecksumSHA256"] == GOOD["x-amz-checksum-sha256"]
    assert "ChecksumSHA256" not in s3.get_object(Bucket=bucket, Key="a", Range="bytes=0-1", ChecksumMode="ENABLED")


def test_a_document_is_verified_like_any_body(server: Server, s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"data")
    document = b"<Delete><Object><Key>a</Key></Object></Delete>"
    headers = {"content-md5": GOOD["content-md5"]}
    assert server.signed("POST", f"/{bucket}", {"delete": ""}, headers, document).code == "BadDigest"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert server.signed("POST", f"/{bucket}", {"delete": ""}, body=document).status == 200
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
