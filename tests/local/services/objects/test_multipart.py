"""Multipart uploads: many parts, one object, at once and whole."""

import base64
import hashlib
import io
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.local.services.objects.server import Server, wait_until

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SMALLEST = 5 << 20


class Upload:
    """A multipart upload under way."""

    def __init__(self, s3: "S3Client", bucket: str, key: str = "multi", **created: Any) -> None:
        self.s3 = s3
        self.id = s3.create_multipart_upload(Bucket=bucket, Key=key, **created)["UploadId"]
        self.of: Any = {"Bucket": bucket, "Key": key, "UploadId": self.id}

    def put(self, number: int, body: bytes) -> dict[str, Any]:
        etag = self.s3.upload_part(**self.of, PartNumber=number, Body=body)["ETag"]
        return {"PartNumber": number, "ETag": etag}

    def complete(self, *parts: Any, **further: Any) -> Any:
        return self.s3.complete_multipart_upload(**self.of, MultipartUpload={"Parts": parts}, **further)


def code(exc: pytest.ExceptionInfo[ClientError]) -> str:
    return exc.value.response["Error"]["Code"]


def test_parts_become_one_object_in_their_order(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket, ContentType="a/b", Metadata={"k": "v"})
    bodies = [os.urandom(SMALLEST), os.urandom(SMALLEST + 3), b"end"]
    last, first, middle = upload.put(9, bodies[2]), upload.put(1, bodies[0]), upload.put(5, bodies[1])
    done = upload.complete(first, middle, last)
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)  # noqa: S324 - what an ETag is
    answer = s3.get_object(Bucket=bucket, Key="multi")
    assert answer["Body"].read() == b"".join(bodies)
    assert done["ETag"] == answer["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'  # noqa: S324 - what an ETag is
    assert (answer["ContentType"], answer["Metadata"]) == ("a/b", {"k": "v"})


def test_nothing_is_seen_before_completion_and_a_part_may_be_sent_again(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"wrong")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    upload.complete(upload.put(1, b"right"))
    assert s3.get_object(Bucket=bucket, Key="multi")["Body"].read() == b"right"
    with pytest.raises(ClientError) as gone:
        upload.put(2, b"late")
    assert code(gone) == "NoSuchUpload"


def test_parts_are_listed_in_pages(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket)
    for number in (1, 2, 7):
        upload.put(number, b"x" * number)
    pages = s3.get_paginator("list_parts").paginate(**upload.of, PaginationConfig={"PageSize": 2})
    found = [[(part["PartNumber"], part["Size"]) for part in page["Parts"]] for page in pages]
    assert found == [[(1, 1), (2, 2)], [(7, 7)]]


def test_what_is_aborted_is_gone(server: Server, s3: "S3Client", bucket: str) -> None:
    before = {path.name for path in (server.data / "objects").iterdir()}
    upload = Upload(s3, bucket)
    part = upload.put(1, b"x")
    s3.abort_multipart_upload(**upload.of)
    wait_until(lambda: {path.name for path in (server.data / "objects").iterdir()} <= before)
    for attempt in (lambda: upload.complete(part), lambda: s3.list_parts(**upload.of), lambda: upload.put(2, b"")):
        with pytest.raises(ClientError) as gone:
            attempt()
        assert code(gone) == "NoSuchUpload"


def test_an_upload_belongs_to_its_key(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket)
    with pytest.raises(ClientError) as refused:
        s3.upload_part(Bucket=bucket, Key="other", UploadId=upload.id, PartNumber=1, Body=b"x")
    assert code(refused) == "NoSuchUpload"


def test_completion_names_existing_parts_in_order_and_large_enough(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket)
    one, two = upload.put(1, b"small"), upload.put(2, b"end")
    refused = {
        "InvalidPartOrder": (two, one),
        "EntityTooSmall": (one, two),
        "InvalidPart": ({"PartNumber": 3, "ETag": one["ETag"]},),
        "MalformedXML": (),
    }
    for expected, parts in refused.items():
        with pytest.raises(ClientError) as exc:
            upload.complete(*parts)
        assert code(exc) == expected
    with pytest.raises(ClientError) as exc:
        upload.complete({"PartNumber": 1, "ETag": '"0123"'})
    assert code(exc) == "InvalidPart"
    upload.complete(two)
    assert s3.get_object(Bucket=bucket, Key="multi")["Body"].read() == b"end"


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_bounds(s3: "S3Client", bucket: str, number: int) -> None:
    upload = Upload(s3, bucket)
    with pytest.raises(ClientError) as refused:
        upload.put(number, b"x")
    assert code(refused) == "InvalidArgument"


def test_a_part_number_without_an_upload_replaces_nothing(server: Server, s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"whole")
    assert server.signed("PUT", f"/{bucket}/a", {"partNumber": "1"}, body=b"part").status == 501
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"whole"


def test_completion_may_insist_on_being_first(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket)
    part = upload.put(1, b"late")
    s3.put_object(Bucket=bucket, Key="multi", Body=b"first")
    with pytest.raises(ClientError) as refused:
        upload.complete(part, IfNoneMatch="*")
    assert code(refused) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="multi")["Body"].read() == b"first"


def test_a_checksum_of_the_whole_is_verified_at_completion(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    body = os.urandom(SMALLEST)
    parts = upload.put(1, body), upload.put(2, b"end")
    good = base64.b64encode(zlib.crc32(body + b"end").to_bytes(4, "big")).decode()
    with pytest.raises(ClientError) as refused:
        upload.complete(*parts, ChecksumCRC32="AAAAAA==", ChecksumType="FULL_OBJECT")
    assert code(refused) == "BadDigest"
    upload.complete(*parts, ChecksumCRC32=good, ChecksumType="FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="multi", ChecksumMode="ENABLED")
    assert head["ChecksumCRC32"] == good


def test_completed_twice_at_once_is_one_object(s3: "S3Client", bucket: str) -> None:
    upload = Upload(s3, bucket)
    part = upload.put(1, b"once")

    def complete(_: int) -> bool:
        try:
            upload.complete(part)
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(complete, range(4))).count(True) == 1
    assert s3.get_object(Bucket=bucket, Key="multi")["Body"].read() == b"once"


def test_a_large_copy_goes_in_parts(s3: "S3Client", bucket: str) -> None:
    body = os.urandom(2 * SMALLEST + 11)
    s3.put_object(Bucket=bucket, Key="from", Body=body)
    config = TransferConfig(multipart_threshold=SMALLEST, multipart_chunksize=SMALLEST)
    s3.copy({"Bucket": bucket, "Key": "from"}, bucket, "to", Config=config)
    answer = s3.get_object(Bucket=bucket, Key="to")
    assert answer["Body"].read() == body
    assert answer["ETag"].endswith('-3"')


@pytest.mark.parametrize(("asked", "expected"), [("bytes=9-", "InvalidRange"), ("lines=1", "InvalidArgument")])
def test_a_part_copy_needs_a_range_of_its_source(s3: "S3Client", bucket: str, asked: str, expected: str) -> None:
    s3.put_object(Bucket=bucket, Key="from", Body=b"12345")
    upload = Upload(s3, bucket)
    source: Any = {"Bucket": bucket, "Key": "from"}
    with pytest.raises(ClientError) as refused:
        s3.upload_part_copy(**upload.of, PartNumber=1, CopySource=source, CopySourceRange=asked)
    assert code(refused) == expected


def test_boto3_uploads_large_files_in_parts(s3: "S3Client", bucket: str) -> None:
    body = os.urandom(12 << 20)
    s3.put_object(Bucket=bucket, Key="multi", Body=b"before")
    s3.upload_fileobj(io.BytesIO(body), bucket, "multi", Config=TransferConfig(multipart_threshold=SMALLEST))
    assert s3.get_object(Bucket=bucket, Key="multi")["Body"].read() == body
