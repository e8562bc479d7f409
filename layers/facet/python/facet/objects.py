"""Objects in S3: put, read, head, delete, list, and presigned URLs, which need no call and no client."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

from facet import tracing
from facet.problems import Problem
from facet.settings import settings

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CORSRuleTypeDef

# botocore is imported where it is used: the signer costs 40 ms of a cold start, a client four times that.

CONNECT_TIMEOUT = 2  # seconds, per attempt
READ_TIMEOUT = 5  # seconds without a byte
ATTEMPTS = 3

_ABSENT = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_OVERLOADED = frozenset({"SlowDown", "Throttling", "TooManyRequests", "RequestTimeout"})
_REFUSALS = frozenset({400, 403, 405, 412, 416})


class NotFound(Exception):
    """There is no such object, or no such bucket."""


class Unreadable(Exception):
    """The object is there, but the storage does not hand it out: encrypted, archived, or not ours to read."""


class TooLarge(Unreadable):
    """The object is larger than the caller is ready to hold in memory."""


class Unavailable(Problem):
    """The object storage cannot be reached or does not answer in time. Repeat after `Retry-After` seconds."""

    status, code, title = 503, "STORAGE_UNAVAILABLE", "The object storage is unavailable"
    headers: Mapping[str, str] = {"Retry-After": "5"}


@dataclass(frozen=True)
class ObjectInfo:
    size: int
    etag: str
    content_type: str
    last_modified: datetime


@dataclass(frozen=True)
class PresignedPut:
    """Where to PUT an object, and the headers that have to go with it unchanged."""

    url: str
    headers: dict[str, str]


def put(bucket: str, key: str, body: bytes, *, content_type: str) -> None:
    with _call("PutObject", bucket, key):
        _client().put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)


def read(bucket: str, key: str, *, limit: int) -> bytes:
    """The whole object, of at most `limit` bytes; a larger one raises TooLarge before it is read."""
    with _call("GetObject", bucket, key), _refusals_of(bucket, key):
        answer = _client().get_object(Bucket=bucket, Key=key)
        with closing(answer["Body"]) as body:
            if answer["ContentLength"] > limit:
                raise TooLarge(f"{bucket}/{key} has {answer['ContentLength']} bytes, more than {limit}")
            return body.read()


def head(bucket: str, key: str) -> ObjectInfo:
    with _call("HeadObject", bucket, key), _refusals_of(bucket, key):
        answer = _client().head_object(Bucket=bucket, Key=key)
    return ObjectInfo(
        size=answer["ContentLength"],
        etag=answer["ETag"].strip('"'),
        content_type=answer.get("ContentType", "application/octet-stream"),
        last_modified=answer["LastModified"],
    )


def delete(bucket: str, key: str) -> None:
    """Delete an object; one that is gone already is fine."""
    with _call("DeleteObject", bucket, key):
        _client().delete_object(Bucket=bucket, Key=key)


def list_keys(bucket: str) -> list[str]:
    """Every key of a bucket, in order. Meant for small buckets."""
    with _call("ListObjectsV2", bucket):
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


def presign_get(
    bucket: str,
    key: str,
    *,
    expires_in: int,
    audience: Literal["client", "agent"] = "client",
    filename: str | None = None,
    signed_at: datetime | None = None,
) -> str:
    """A URL to GET the object for `expires_in` seconds, at the address its audience reaches.

    With `filename` a browser saves the object under that name instead of showing it. The seconds count from
    `signed_at`, by default now; the URL of one object at one time is always the same, unless the keys of a role sign
    it: then it ends with the role's session at the latest (see MINIO_SIGNING_ACCESS_KEY).
    """
    from facet.presigning import presign

    origin = settings().minio_public_url if audience == "client" else settings().minio_host
    params = {"response-content-disposition": _attachment(filename)} if filename else {}
    return presign("GET", _url(origin, bucket, key), expires_in=expires_in, params=params, signed_at=signed_at)


def presign_put(
    bucket: str,
    key: str,
    *,
    content_type: str,
    size: int,
    sha256: bytes | None,
    expires_in: int,
    signed_at: datetime | None = None,
) -> PresignedPut:
    """A URL for clients to PUT one object of exactly this length, type and, if given, digest; lives as a GET does."""
    from facet.presigning import presign

    headers = {"content-length": str(size), "content-type": content_type}
    if sha256 is not None:
        headers["x-amz-checksum-sha256"] = base64.b64encode(sha256).decode()
    url = _url(settings().minio_public_url, bucket, key)
    signed = presign("PUT", url, expires_in=expires_in, headers=headers, signed_at=signed_at)
    return PresignedPut(signed, headers)


def ensure_bucket(bucket: str) -> None:
    """Create a private bucket unless it is there; safe when two do it at once."""
    from botocore.exceptions import ClientError

    client = _client()
    try:
        with _call("HeadBucket", bucket):
            client.head_bucket(Bucket=bucket)
    except NotFound:
        with _call("CreateBucket", bucket):
            try:
                client.create_bucket(Bucket=bucket, **_location(settings().minio_region))
            except ClientError as error:  # by its code: threads that fail first each get exception classes of their own
                if _code(error) != "BucketAlreadyOwnedByYou":
                    raise


def allow_origins(bucket: str, origins: Sequence[str]) -> bool:
    """Let pages of these origins upload, and any page read; False where the server has no CORS per bucket (MinIO).

    Reading takes a presigned URL, which is good outside of browsers too; and a page that the API redirects here comes
    as the origin `null`, or, like the API's own documentation, from an origin the storage has not heard of.
    """
    from botocore.exceptions import ClientError

    read: CORSRuleTypeDef = {
        "AllowedOrigins": ["*"],
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Length", "Content-Range", "Content-Disposition"],
        "MaxAgeSeconds": 600,
    }
    write: CORSRuleTypeDef = {**read, "AllowedOrigins": list(origins), "AllowedMethods": ["GET", "HEAD", "PUT"]}
    with _call("PutBucketCors", bucket):
        try:
            _client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [write, read]})
        except ClientError as error:
            if _code(error) != "NotImplemented":
                raise
            return False
    return True


@lru_cache(maxsize=1)
def _client() -> "S3Client":
    import botocore.session
    from botocore.config import Config

    at = settings()
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        request_checksum_calculation="when_required",  # not every S3 understands trailing checksums
        response_checksum_validation="when_required",
    )
    with tracing.span("start of the S3 client", "internal", {}):
        client = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=at.minio_host,
            region_name=at.minio_region,
            aws_access_key_id=at.minio_access_key,
            aws_secret_access_key=at.minio_secret_key.get_secret_value(),
            aws_session_token=at.minio_session_token.get_secret_value() if at.minio_session_token else None,
            config=config,
        )
    return cast("S3Client", client)


@contextmanager
def _call(operation: str, bucket: str, key: str | None = None) -> Iterator[None]:
    """Translate botocore's errors; what is neither absence nor an outage stays what it is."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, IncompleteReadError

    named = {"rpc.system.name": "aws-api", "rpc.method": f"S3/{operation}", "aws.s3.bucket": bucket}
    if key is not None:
        named["aws.s3.key"] = key
    try:
        with tracing.span(f"S3/{operation}", "client", named):
            yield
    except ClientError as error:
        if _code(error) in _ABSENT:
            raise NotFound(f"{bucket if key is None else f'{bucket}/{key}'} does not exist") from error
        if _code(error) in _OVERLOADED or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise Unavailable("The object storage does not answer.") from error
        raise
    except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
        raise Unavailable("The object storage cannot be reached.") from error


@contextmanager
def _refusals_of(bucket: str, key: str) -> Iterator[None]:
    """Tell an object that is refused from a bucket that is: its writer did the first, we have to mend the second."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status not in _REFUSALS or _code(error) in _ABSENT | _OVERLOADED:
            raise
        _client().head_bucket(Bucket=bucket)
        raise Unreadable(f"{bucket}/{key} cannot be read: {_code(error)}") from error


def _location(region: str) -> dict[str, Any]:
    """The arguments that put a bucket into a region; us-east-1 is the one that may not be named."""
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}


def _code(error: "ClientError") -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _url(origin: str, bucket: str, key: str) -> str:
    return f"{origin}/{bucket}/{quote(key, safe='/~')}"


def _attachment(filename: str) -> str:
    """Content-Disposition with a plain name for every browser and the true one for those that read RFC 8187."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
