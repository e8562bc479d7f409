"""Operations on objects: read, write, copy and delete them."""

from collections.abc import Mapping
from functools import partial

from local.services.objects import conditions, documents
from local.services.objects.answer import Answer, Stretch, document
from local.services.objects.call import Call
from local.services.objects.conditions import http_date
from local.services.objects.errors import S3Error
from local.services.objects.records import Record
from local.services.objects.request import copy_source

_KEPT = {"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}
_METADATA = "x-amz-meta-"
_MOST_METADATA = 2048
_MOST_KEYS = 1000
_BEYOND_US = ("x-amz-grant", "x-amz-object-lock", "x-amz-server-side-encryption", "x-amz-tagging", "x-amz-website")


async def get_object(call: Call) -> Answer:
    request = call.request
    record = call.storage.record(request.bucket, request.key)
    if conditions.unmodified(request.headers, record):
        return Answer(304, _validators(record))
    span = conditions.span(request.headers, record)
    first, count = span or (0, record.size)
    headers = _described(record, whole=span is None and request.headers.get("x-amz-checksum-mode", "") != "")
    headers |= _overrides(request.query)
    headers["Content-Length"] = str(count)
    if span:
        headers["Content-Range"] = f"bytes {first}-{first + count - 1}/{record.size}"
    body = b"" if request.method == "HEAD" else Stretch(call.storage.open(record), first, count)
    return Answer(206 if span else 200, headers, body)


async def put_object(call: Call) -> Answer:
    request, storage = call.request, call.storage
    headers = stored_headers(request.headers)
    guard = partial(conditions.allow_write, request.headers)
    guard(storage.find(storage.bucket(request.bucket).name, request.key))
    with storage.draft() as draft:
        async for piece in call.body:
            draft.write(piece)
        checksums = call.body.checksums
        record = await storage.put(
            request.bucket, request.key, draft, headers=headers, checksums=checksums, guard=guard
        )
    return Answer(headers={"ETag": f'"{record.etag}"', **checksums})


async def copy_object(call: Call) -> Answer:
    request, storage = call.request, call.storage
    bucket, key = copy_source(request)
    call.require("read", bucket)
    storage.bucket(request.bucket)
    source = storage.record(bucket, key)
    require_source(request.headers, source)
    headers = _copied_headers(request.headers, source, onto_itself=(bucket, key) == (request.bucket, request.key))
    guard = partial(conditions.allow_write, request.headers)
    record = await storage.copy(source, request.bucket, request.key, headers=headers, guard=guard)
    return document("CopyObjectResult", copy_result(record.etag, record.modified))


async def delete_object(call: Call) -> Answer:
    await call.storage.delete(call.storage.bucket(call.request.bucket).name, [call.request.key])
    return Answer(204)


async def delete_objects(call: Call) -> Answer:
    bucket = call.storage.bucket(call.request.bucket).name
    root = documents.parse(await call.body.document(), "Delete")
    keys = [documents.text(entry, "Key") for entry in root.findall("{*}Object")]
    if not 1 <= len(keys) <= _MOST_KEYS:
        raise S3Error("MalformedXML", f"1 to {_MOST_KEYS} keys can be deleted at once.")
    await call.storage.delete(bucket, keys)
    quiet = documents.texts(root, "Quiet") == ("true",)
    return document("DeleteResult", [] if quiet else [("Deleted", [("Key", key)]) for key in keys])


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What is kept of the headers of an upload, to be told to readers; raises S3Error for what cannot be kept."""
    beyond = [name for name in headers if name.startswith(_BEYOND_US)]
    if beyond or headers.get("x-amz-acl", "private") != "private":
        raise S3Error("NotImplemented", f"{', '.join(beyond) or 'x-amz-acl'} is not implemented here.")
    kept = {name: value for name, value in headers.items() if name in _KEPT or name.startswith(_METADATA)}
    if sum(len(name) + len(value) for name, value in kept.items() if name.startswith(_METADATA)) > _MOST_METADATA:
        raise S3Error("MetadataTooLarge")
    codings = [coding.strip() for coding in kept.pop("content-encoding", "").split(",")]
    remaining = ", ".join(coding for coding in codings if coding not in ("", "aws-chunked"))
    kept.setdefault("content-type", "binary/octet-stream")
    return kept | ({"content-encoding": remaining} if remaining else {})


def require_source(headers: Mapping[str, str], source: Record) -> None:
    """Raises S3Error when the object to be copied is not what x-amz-copy-source-if-… expects."""
    if conditions.unmodified(headers, source, "x-amz-copy-source-"):
        raise S3Error("PreconditionFailed")


def copy_result(etag: str, modified: float) -> documents.Content:
    return [("LastModified", documents.timestamp(modified)), ("ETag", f'"{etag}"')]


def _copied_headers(headers: Mapping[str, str], source: Record, *, onto_itself: bool) -> dict[str, str]:
    directive = headers.get("x-amz-metadata-directive", "COPY")
    if directive == "REPLACE":
        return stored_headers(headers)
    if directive != "COPY":
        raise S3Error("InvalidArgument", "x-amz-metadata-directive must be COPY or REPLACE.")
    if onto_itself:
        raise S3Error("InvalidRequest", "A copy onto itself must replace the metadata.")
    return source.headers


def _described(record: Record, *, whole: bool) -> dict[str, str]:
    """Headers of an object; the checksums are of the whole of it."""
    checksums = record.checksums if whole else {}
    return {**record.headers, **checksums, **_validators(record), "Accept-Ranges": "bytes"}


def _validators(record: Record) -> dict[str, str]:
    return {"ETag": f'"{record.etag}"', "Last-Modified": http_date(record.modified)}


def _overrides(query: Mapping[str, str]) -> dict[str, str]:
    """What `response-content-type` and its like ask to be told instead."""
    overrides = {name.removeprefix("response-"): value for name, value in query.items() if name.startswith("response-")}
    if not _KEPT.issuperset(overrides) or not all(value.isprintable() for value in overrides.values()):
        raise S3Error("InvalidArgument", "A response-… parameter names no header, or one that cannot be sent.")
    return overrides
