"""S3 as its clients expect it, on a new data folder and once more after a restart over what the first pass left."""

import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.local.services.objects.server import SECRET, Server, running

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.xdist_group("s3-conformance")

BUCKET = "conformance"
ORIGIN = "http://localhost:5173"
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="module", params=["new", "restarted"])
def server(request: pytest.FixtureRequest, data: Path) -> Iterator[Server]:
    with running(data) as started:
        if request.param == "new":
            started.boto().create_bucket(Bucket=BUCKET)
        yield started


def status(exc: pytest.ExceptionInfo[ClientError]) -> int:
    return exc.value.response["ResponseMetadata"]["HTTPStatusCode"]


def code(exc: pytest.ExceptionInfo[ClientError]) -> str:
    return exc.value.response["Error"]["Code"]


def read(s3: "S3Client", key: str) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def presigned(s3: "S3Client", operation: str, expires: int = 60, **parameters: Any) -> str:
    return s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, **parameters}, ExpiresIn=expires)


# What lasts


def test_what_was_stored_is_there_after_a_restart(data: Path, server: Server, s3: "S3Client") -> None:
    marker = data / "stored"
    if not marker.exists():
        s3.put_object(Bucket=BUCKET, Key="lasting", Body=b"keep me", ContentType="text/x-a", Metadata={"a": "b"})
        marker.touch()
    answer = s3.get_object(Bucket=BUCKET, Key="lasting")
    assert (answer["Body"].read(), answer["ContentType"], answer["Metadata"]) == (b"keep me", "text/x-a", {"a": "b"})
    assert BUCKET in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


# Buckets


def test_a_bucket_can_be_made_once(s3: "S3Client") -> None:
    with pytest.raises(ClientError) as refused:
        s3.create_bucket(Bucket=BUCKET)
    assert code(refused) == "BucketAlreadyOwnedByYou"


@pytest.mark.parametrize("name", ["UPPER", "ab", "a..b", "-start", "192.168.0.1", "x" * 64, "under_score"])
def test_a_bucket_name_must_be_one(server: Server, name: str) -> None:
    assert server.signed("PUT", f"/{name}").code == "InvalidBucketName"


def test_a_missing_bucket_is_not_found(s3: "S3Client") -> None:
    for call in (s3.head_bucket, s3.list_objects_v2, s3.get_bucket_location, s3.delete_bucket):
        with pytest.raises(ClientError) as missing:
            call(Bucket="no-such-bucket")
        assert status(missing) == 404
    with pytest.raises(ClientError) as missing:
        s3.put_object(Bucket="no-such-bucket", Key="a", Body=b"a")
    assert code(missing) == "NoSuchBucket"


def test_a_bucket_goes_when_it_is_empty_and_not_before(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    with pytest.raises(ClientError) as refused:
        s3.delete_bucket(Bucket=bucket)
    assert code(refused) == "BucketNotEmpty"
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as missing:
        s3.head_bucket(Bucket=bucket)
    assert status(missing) == 404


# Objects


def test_a_put_answers_with_the_md5_and_keeps_type_and_metadata(s3: "S3Client") -> None:
    body = b"some bytes"
    put = s3.put_object(Bucket=BUCKET, Key="kept", Body=body, ContentType="image/x-b", Metadata={"k": "v"})
    head = s3.head_object(Bucket=BUCKET, Key="kept")
    assert put["ETag"] == head["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324 - what an ETag is
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (10, "image/x-b", {"k": "v"})


def test_a_put_replaces_everything_about_an_object(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="again", Body=b"first", Metadata={"k": "v"}, ContentType="text/a")
    s3.put_object(Bucket=BUCKET, Key="again", Body=b"second!")
    answer = s3.get_object(Bucket=BUCKET, Key="again")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"second!", {})
    assert answer["ContentType"] == "binary/octet-stream"


def test_headers_for_readers_are_kept(s3: "S3Client") -> None:
    given: Any = {"CacheControl": "no-cache", "ContentDisposition": 'inline; filename="é"', "ContentLanguage": "cs"}
    s3.put_object(Bucket=BUCKET, Key="headers", Body=b"", ContentEncoding="gzip", **given)
    head = s3.head_object(Bucket=BUCKET, Key="headers")
    assert (head["CacheControl"], head["ContentLanguage"], head["ContentEncoding"]) == ("no-cache", "cs", "gzip")
    assert head["ContentDisposition"].encode("latin-1").decode() == 'inline; filename="é"'


def test_a_missing_key_is_not_found(s3: "S3Client") -> None:
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="missing")
    with pytest.raises(ClientError) as missing:
        s3.head_object(Bucket=BUCKET, Key="missing")
    assert status(missing) == 404


ODD_KEYS = [
    "a b+c&d=e?.txt",
    "ключ/ü#1",
    "deep/" * 20 + "x",
    "..",
    "../../etc/passwd",
    "a/../b",
    "./a",
    "/leading",
    "//two",
    "a//b",
    "trailing/",
    "%2e%2e/%00",
    "quote'\"<&>",
    "line\nbreak\ttab",
    "nul\x00inside",
    "emoji 😀",
    "x" * 1024,
    "ü" * 512,
    "con",
    "a\\b",
    "*",
    "~.-_",
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_text_is_a_key(s3: "S3Client", key: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    assert read(s3, key) == key.encode()
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"]
    assert key in [entry["Key"] for entry in listed]
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key=key)


def test_a_key_has_at_most_1024_bytes(s3: "S3Client") -> None:
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=BUCKET, Key="ü" * 512 + "x", Body=b"")
    assert code(refused) == "KeyTooLongError"


def test_a_key_may_begin_another(s3: "S3Client") -> None:
    keys = ["p", "p/", "p/q", "p/q/r"]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    assert [read(s3, key).decode() for key in keys] == keys
    s3.delete_object(Bucket=BUCKET, Key="p/q")
    assert read(s3, "p/q/r") == b"p/q/r"


def test_an_address_cannot_leave_the_bucket(server: Server, data: Path) -> None:
    for path in ("/%2e%2e/%2e%2e/etc/passwd", "/../../../etc/passwd", "/..%2findex.sqlite"):
        assert server.send("GET", f"/{BUCKET}{path}").status == 403
        assert server.signed("GET", f"/{BUCKET}/../index.sqlite").status == 404
    assert (data / "index.sqlite").exists()


def test_large_objects_come_back_whole(s3: "S3Client") -> None:
    body = os.urandom(9 * MEGABYTE + 7)
    s3.put_object(Bucket=BUCKET, Key="large", Body=body)
    assert read(s3, "large") == body


# Who may


def test_a_wrong_secret_is_refused(server: Server) -> None:
    with pytest.raises(ClientError) as refused:
        server.boto(secret="not" + SECRET).put_object(Bucket=BUCKET, Key="bad", Body=b"x")
    assert (status(refused), code(refused)) == (403, "SignatureDoesNotMatch")


def test_an_unknown_key_is_refused(server: Server) -> None:
    with pytest.raises(ClientError) as refused:
        server.boto("nobody").list_buckets()
    assert (status(refused), code(refused)) == (403, "InvalidAccessKeyId")


def test_nobody_is_refused(server: Server) -> None:
    for method in ("GET", "PUT", "DELETE", "POST", "HEAD"):
        assert server.send(method, f"/{BUCKET}/lasting").status == 403
    assert server.send("GET", "/").code == "AccessDenied"


def test_anybody_may_ask_whether_the_server_lives(server: Server) -> None:
    assert httpx.get(f"{server.url}/minio/health/live").status_code == 200


# Presigned addresses


def test_a_presigned_put_takes_what_was_signed_and_nothing_else(s3: "S3Client") -> None:
    address = presigned(s3, "put_object", Key="photo", ContentType="image/jpeg", ContentLength=5)
    jpeg = {"Content-Type": "image/jpeg"}
    assert httpx.put(address, content=b"12345", headers=jpeg).status_code == 200
    refused = [
        httpx.put(address, content=b"123456", headers=jpeg),
        httpx.put(address, content=b"1234", headers=jpeg),
        httpx.put(address, content=b"54321", headers={"Content-Type": "text/html"}),
        httpx.put(address, content=b"54321"),
        httpx.put(address, content=iter([b"54321"]), headers=jpeg),
        httpx.put(address, content=b"54321", headers={**jpeg, "x-amz-meta-added": "1"}),
        httpx.put(address, headers={**jpeg, "x-amz-copy-source": f"/{BUCKET}/lasting"}),
        httpx.put(address.replace("photo", "other"), content=b"54321", headers=jpeg),
        httpx.get(address),
        httpx.delete(address),
    ]
    assert [reply.status_code for reply in refused] == [403] * len(refused)
    assert read(s3, "photo") == b"12345"


def test_a_presigned_get_reads_and_may_rename(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="photo", Body=b"12345")
    attachment = 'attachment; filename="a.jpg"'
    address = presigned(s3, "get_object", Key="photo", ResponseContentDisposition=attachment, ResponseContentType="x/y")
    reply = httpx.get(address)
    assert (reply.status_code, reply.content) == (200, b"12345")
    assert (reply.headers["content-disposition"], reply.headers["content-type"]) == (attachment, "x/y")
    assert httpx.put(address, content=b"x").status_code == 403
    assert httpx.get(address[:-6] + "000000").status_code == 403
    assert httpx.get(address.replace("a.jpg", "a.exe")).status_code == 403


def test_a_renaming_cannot_break_out_of_its_header(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="photo", Body=b"12345")
    address = presigned(s3, "get_object", Key="photo", ResponseContentType="a\r\nSet-Cookie: b=c")
    assert httpx.get(address).status_code == 400


def test_a_presigned_address_expires(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="photo", Body=b"12345")
    for age, expected in ((50, 200), (61, 403), (-3600, 403)):
        moment = datetime.now(UTC) - timedelta(seconds=age)
        with patch("botocore.auth.get_current_datetime", return_value=moment):
            address = presigned(s3, "get_object", Key="photo")
        assert httpx.get(address).status_code == expected


# Parts and conditions


@pytest.mark.parametrize(
    ("asked", "expected", "said"),
    [
        ("bytes=1-3", b"123", "bytes 1-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-4", b"6789", "bytes 6-9/10"),
        ("bytes=-40", b"0123456789", "bytes 0-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
    ],
)
def test_a_range_is_answered_with_that_part(s3: "S3Client", asked: str, expected: bytes, said: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    answer = s3.get_object(Bucket=BUCKET, Key="digits", Range=asked)
    assert (answer["Body"].read(), answer["ContentRange"]) == (expected, said)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(s3: "S3Client", asked: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUCKET, Key="digits", Range=asked)
    assert status(refused) == 416


@pytest.mark.parametrize("asked", ["bytes=3-1", "bytes=-", "lines=1-2", "bytes=0-1,3-4", "bytes=a-b"])
def test_what_is_no_range_gets_the_whole(s3: "S3Client", asked: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    reply = httpx.get(presigned(s3, "get_object", Key="digits"), headers={"Range": asked})
    assert (reply.status_code, reply.content) == (200, b"0123456789")


def test_a_part_of_another_object_is_not_taken_for_one_of_this(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    address = presigned(s3, "get_object", Key="digits")
    etag = httpx.get(address).headers["etag"]
    for validator, expected in ((etag, 206), ('"other"', 200)):
        reply = httpx.get(address, headers={"Range": "bytes=5-", "If-Range": validator})
        assert reply.status_code == expected


def test_a_reader_may_ask_for_what_it_does_not_have(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="digits", Body=b"0123456789")
    address = presigned(s3, "get_object", Key="digits")
    first = httpx.get(address)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    long_ago = "Sat, 01 Jan 2000 00:00:00 GMT"
    expected = {
        ("If-None-Match", etag): 304,
        ("If-None-Match", f'"a", W/{etag}'): 304,
        ("If-None-Match", "*"): 304,
        ("If-None-Match", '"a"'): 200,
        ("If-Match", etag): 200,
        ("If-Match", '"a"'): 412,
        ("If-Modified-Since", modified): 304,
        ("If-Modified-Since", long_ago): 200,
        ("If-Modified-Since", "yesterday"): 200,
        ("If-Unmodified-Since", modified): 200,
        ("If-Unmodified-Since", long_ago): 412,
    }
    found = {header: httpx.get(address, headers=[header]).status_code for header in expected}
    assert found == expected
    unchanged = httpx.get(address, headers={"If-None-Match": etag})
    assert (unchanged.headers["etag"], unchanged.content) == (etag, b"")


def test_a_writer_may_insist_on_being_first_or_on_what_it_replaces(s3: "S3Client") -> None:
    s3.delete_object(Bucket=BUCKET, Key="once")
    with pytest.raises(ClientError) as missing:
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"a", IfMatch='"a"')
    assert status(missing) == 404
    etag = s3.put_object(Bucket=BUCKET, Key="once", Body=b"first", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as late:
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"second", IfNoneMatch="*")
    assert (status(late), read(s3, "once")) == (412, b"first")
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"third", IfMatch=etag)
    with pytest.raises(ClientError) as stale:
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"fourth", IfMatch=etag)
    assert (status(stale), read(s3, "once")) == (412, b"third")


def test_a_refused_put_leaves_the_connection_usable(server: Server) -> None:
    s3 = server.boto()  # one connection, used again
    s3.put_object(Bucket=BUCKET, Key="once", Body=b"first")
    with pytest.raises(ClientError):
        s3.put_object(Bucket=BUCKET, Key="once", Body=b"second", IfNoneMatch="*")
    assert read(s3, "once") == b"first"


# CORS


CORS: Any = {
    "CORSRules": [
        {
            "AllowedOrigins": [ORIGIN],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 600,
        }
    ]
}


def preflight(server: Server, origin: str, method: str = "PUT") -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "Content-Type, x-amz-meta-a",
    }
    return httpx.options(f"{server.url}/{BUCKET}/photo", headers=headers)


def test_cors_rules_are_told_to_browsers(server: Server, s3: "S3Client") -> None:
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=CORS)
    assert s3.get_bucket_cors(Bucket=BUCKET)["CORSRules"] == CORS["CORSRules"]
    allowed = preflight(server, ORIGIN)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["access-control-allow-headers"] == "content-type, x-amz-meta-a"
    assert allowed.headers["access-control-max-age"] == "600"
    for refused in (preflight(server, "http://elsewhere.test"), preflight(server, ORIGIN, "DELETE")):
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers


def test_answers_to_an_allowed_origin_carry_cors_headers_refusals_too(server: Server, s3: "S3Client") -> None:
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=CORS)
    s3.put_object(Bucket=BUCKET, Key="photo", Body=b"12345")
    address = presigned(s3, "get_object", Key="photo")
    for url, expected in ((address, 200), (address[:-3] + "000", 403)):
        reply = httpx.get(url, headers={"Origin": ORIGIN})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (expected, ORIGIN)
        assert reply.headers["access-control-expose-headers"] == "ETag"
        assert "Origin" in reply.headers["vary"]
    other = httpx.get(address, headers={"Origin": "http://elsewhere.test"})
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (200, False)


def test_without_cors_rules_no_other_origin_is_answered(server: Server, s3: "S3Client") -> None:
    s3.delete_bucket_cors(Bucket=BUCKET)
    assert preflight(server, ORIGIN).status_code == 403
    with pytest.raises(ClientError) as missing:
        s3.get_bucket_cors(Bucket=BUCKET)
    assert code(missing) == "NoSuchCORSConfiguration"


# Listing


def test_pages_follow_one_another(s3: "S3Client", bucket: str) -> None:
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"list/{number}", Body=b"")
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, Prefix="list/", PaginationConfig={"PageSize": 2})
        found = [[entry["Key"] for entry in page["Contents"]] for page in pages]
        assert found == [["list/0", "list/1"], ["list/2", "list/3"], ["list/4"]]


def test_a_delimiter_rolls_keys_up(s3: "S3Client", bucket: str) -> None:
    for key in ("a/1", "a/2", "b", "c/d/1", "c/e", "z ü/x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    top = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [entry["Key"] for entry in top["Contents"]] == ["b"]
    assert [entry["Prefix"] for entry in top["CommonPrefixes"]] == ["a/", "c/", "z ü/"]
    assert top["KeyCount"] == 4
    below = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="c/")
    assert [entry["Key"] for entry in below["Contents"]] == ["c/e"]
    assert [entry["Prefix"] for entry in below["CommonPrefixes"]] == ["c/d/"]


def test_a_listing_may_start_behind_a_key_and_be_empty(s3: "S3Client", bucket: str) -> None:
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    later = s3.list_objects_v2(Bucket=bucket, StartAfter="a")
    assert [entry["Key"] for entry in later["Contents"]] == ["b", "c"]
    none = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"]) == (0, False)


def test_a_listing_without_encoding_is_still_xml(server: Server, s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="control\x01<&>", Body=b"")
    reply = server.signed("GET", f"/{BUCKET}", {"list-type": "2", "prefix": "control"})
    assert (reply.status, "control\ufffd&lt;&amp;&gt;" in reply.body.decode()) == (200, True)


@pytest.mark.parametrize(
    "query", [{"max-keys": "many"}, {"continuation-token": "???", "list-type": "2"}, {"encoding-type": "base64"}]
)
def test_a_listing_refuses_what_it_cannot_read(server: Server, query: dict[str, str]) -> None:
    reply = server.signed("GET", f"/{BUCKET}", query)
    assert (reply.status, reply.code) == (400, "InvalidArgument")


# Deleting


def test_many_are_deleted_at_once_and_missing_ones_do_not_matter(s3: "S3Client", bucket: str) -> None:
    keys = ["one", "two", "ü<&>", "never was"]
    for key in keys[:3]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert [entry["Key"] for entry in answer["Deleted"]] == keys
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "one"}], "Quiet": True})
    assert "Deleted" not in quiet
    assert s3.delete_object(Bucket=bucket, Key="one")["ResponseMetadata"]["HTTPStatusCode"] == 204


# Copying


def test_a_copy_is_another_object(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="from ü+1", Body=b"12345", ContentType="a/b", Metadata={"k": "v"})
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": BUCKET, "Key": "from ü+1"})
    s3.put_object(Bucket=BUCKET, Key="from ü+1", Body=b"changed")
    answer = s3.get_object(Bucket=bucket, Key="to")
    assert (answer["Body"].read(), answer["ContentType"], answer["Metadata"]) == (b"12345", "a/b", {"k": "v"})


def test_a_copy_may_replace_the_metadata_even_onto_itself(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"12345", Metadata={"k": "v"})
    source: Any = {"Bucket": bucket, "Key": "a"}
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=bucket, Key="a", CopySource=source)
    assert code(refused) == "InvalidRequest"
    s3.copy_object(Bucket=bucket, Key="a", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "w"})
    answer = s3.get_object(Bucket=bucket, Key="a")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"12345", {"n": "w"})


def test_a_copy_may_insist_on_its_source(s3: "S3Client", bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"12345")["ETag"]
    source: Any = {"Bucket": bucket, "Key": "a"}
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source, CopySourceIfMatch=etag)
    for condition in ({"CopySourceIfMatch": '"x"'}, {"CopySourceIfNoneMatch": etag}):
        with pytest.raises(ClientError) as refused:
            s3.copy_object(Bucket=bucket, Key="b", CopySource=source, **condition)  # type: ignore[arg-type]  # by name
        assert status(refused) == 412


def test_what_is_not_there_cannot_be_copied(s3: "S3Client", bucket: str) -> None:
    sources: Any = ({"Bucket": bucket, "Key": "missing"}, {"Bucket": "no-such-bucket", "Key": "a"})
    for source in sources:
        with pytest.raises(ClientError) as missing:
            s3.copy_object(Bucket=bucket, Key="b", CopySource=source)
        assert status(missing) == 404


# Several at once


def test_of_racing_writers_one_wins_whole(s3: "S3Client") -> None:
    bodies = [bytes([number]) * 200_000 for number in range(8)] * 4
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: s3.put_object(Bucket=BUCKET, Key="race", Body=body), bodies))
    assert read(s3, "race") in bodies


def test_a_reader_sees_one_writer_at_a_time(s3: "S3Client") -> None:
    bodies = [bytes([number]) * 300_000 for number in range(4)]
    s3.put_object(Bucket=BUCKET, Key="race", Body=bodies[0])
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(s3.put_object, Bucket=BUCKET, Key="race", Body=body) for body in bodies * 8]
        while not all(writer.done() for writer in writing):
            assert read(s3, "race") in bodies


def test_of_those_who_insist_on_being_first_one_is(s3: "S3Client") -> None:
    s3.delete_object(Bucket=BUCKET, Key="first")

    def put(number: int) -> bool:
        try:
            s3.put_object(Bucket=BUCKET, Key="first", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(16)))
    assert won.count(True) == 1
    assert read(s3, "first") == b"%d" % won.index(True)


# minio-py, as agents of the old system use it


def test_minio_py_writes_reads_and_lists(server: Server) -> None:
    minio = server.minio()
    assert minio.bucket_exists(BUCKET)
    assert not minio.bucket_exists("no-such-bucket")
    minio.put_object(BUCKET, "old agent/a", io.BytesIO(b"old agent"), 9, "model/gltf-binary", metadata={"k": "v"})
    stored = minio.stat_object(BUCKET, "old agent/a")
    assert (stored.size, stored.content_type, (stored.metadata or {})["x-amz-meta-k"]) == (9, "model/gltf-binary", "v")
    assert minio.get_object(BUCKET, "old agent/a").read() == b"old agent"
    assert minio.get_object(BUCKET, "old agent/a", offset=4, length=3).read() == b"age"
    assert [entry.object_name for entry in minio.list_objects(BUCKET, "old agent/")] == ["old agent/a"]
    minio.remove_object(BUCKET, "old agent/a")
    assert not list(minio.list_objects(BUCKET, "old agent/", recursive=True))


def test_minio_py_streams_without_knowing_the_length(server: Server) -> None:
    minio = server.minio()
    for size in (100, 11 * MEGABYTE):
        minio.put_object(BUCKET, "chunks", io.BytesIO(b"a" * size), -1, part_size=5 * MEGABYTE)
        assert minio.stat_object(BUCKET, "chunks").size == size


def test_minio_py_signs_addresses(server: Server) -> None:
    minio = server.minio()
    assert httpx.put(minio.presigned_put_object(BUCKET, "by minio"), content=b"bytes").status_code == 200
    assert httpx.get(minio.presigned_get_object(BUCKET, "by minio")).content == b"bytes"
