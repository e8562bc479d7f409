"""Operations on multipart uploads."""

from functools import partial
from itertools import pairwise
from xml.etree.ElementTree import Element

from local.services.objects import conditions, documents
from local.services.objects.answer import Answer, Stretch, document
from local.services.objects.call import Call
from local.services.objects.checksums import PREFIX, Promises
from local.services.objects.errors import S3Error
from local.services.objects.objects import copy_result, require_source, stored_headers
from local.services.objects.records import Part, Record, Upload
from local.services.objects.request import copy_source

_MOST_PARTS = 10_000
_MOST_LISTED = 1000
_SMALLEST_PART = 5 << 20


async def create_upload(call: Call) -> Answer:
    request = call.request
    bucket = call.storage.bucket(request.bucket).name
    upload = await call.storage.create_upload(bucket, request.key, stored_headers(request.headers))
    names = [("Bucket", bucket), ("Key", request.key), ("UploadId", upload.id)]
    return document("InitiateMultipartUploadResult", names)


async def put_part(call: Call) -> Answer:
    upload, number = _upload(call), _number(call)
    with call.storage.draft() as draft:
        async for piece in call.body:
            draft.write(piece)
        part = await call.storage.put_part(upload, number, draft)
    return Answer(headers={"ETag": f'"{part.etag}"', **call.body.checksums})


async def copy_part(call: Call) -> Answer:
    upload, number = _upload(call), _number(call)
    bucket, key = copy_source(call.request)
    call.require("read", bucket)
    source = call.storage.record(bucket, key)
    require_source(call.request.headers, source)
    first, count = _stretch(call.request.headers.get("x-amz-copy-source-range"), source)
    with call.storage.draft() as draft:
        bytes_of_source = Stretch(call.storage.open(source), first, count)
        part = await call.storage.put_part(upload, number, draft, bytes_of_source)
    return document("CopyPartResult", copy_result(part.etag, part.modified))


async def list_parts(call: Call) -> Answer:
    upload = _upload(call)
    most = call.request.number("max-parts", _MOST_LISTED, most=_MOST_LISTED)
    marker = call.request.number("part-number-marker", 0, most=_MOST_PARTS)
    following = [part for part in call.storage.parts(upload) if part.number > marker]
    listed = following[:most]
    content: documents.Children = [
        ("Bucket", upload.bucket),
        ("Key", upload.key),
        ("UploadId", upload.id),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", listed[-1].number if listed else marker),
        ("MaxParts", most),
        ("IsTruncated", len(following) > len(listed)),
    ]
    return document("ListPartsResult", content + [("Part", _entry(part)) for part in listed])


async def complete_upload(call: Call) -> Answer:
    request, storage = call.request, call.storage
    upload = _upload(call)
    root = documents.parse(await call.body.document(of_object=True), "CompleteMultipartUpload")
    parts = _chosen(root.findall("{*}Part"), storage.parts(upload))
    # A checksum of checksums ends in the number of parts; the parts were verified one by one.
    whole = {name: value for name, value in request.headers.items() if name.startswith(PREFIX) and "-" not in value}
    guard = partial(conditions.allow_write, request.headers)
    record = await storage.complete(upload, parts, Promises(whole), guard)
    content = [
        ("Location", f"/{upload.bucket}/{upload.key}"),
        ("Bucket", upload.bucket),
        ("Key", upload.key),
        ("ETag", f'"{record.etag}"'),
    ]
    return document("CompleteMultipartUploadResult", content)


async def abort_upload(call: Call) -> Answer:
    await call.storage.abort(_upload(call))
    return Answer(204)


def _upload(call: Call) -> Upload:
    request = call.request
    return call.storage.upload(request.query["uploadId"], call.storage.bucket(request.bucket).name, request.key)


def _number(call: Call) -> int:
    number = call.request.number("partNumber", 0, most=_MOST_PARTS + 1)
    if not 1 <= number <= _MOST_PARTS:
        raise S3Error("InvalidArgument", f"Part numbers are 1 to {_MOST_PARTS}.")
    return number


def _stretch(asked: str | None, source: Record) -> tuple[int, int]:
    if asked is None:
        return 0, source.size
    span = conditions.span({"range": asked}, source)
    if span is None:
        raise S3Error("InvalidArgument", "x-amz-copy-source-range must be bytes=first-last.")
    return span


def _chosen(elements: list[Element], parts: list[Part]) -> list[Part]:
    """The parts that the client names, in its order, which must be ascending."""
    known = {str(part.number): part for part in parts}
    chosen = []
    for element in elements:
        part = known.get(documents.text(element, "PartNumber"))
        if part is None or documents.text(element, "ETag").strip('"') != part.etag:
            raise S3Error("InvalidPart")
        chosen.append(part)
    if not chosen:
        raise S3Error("MalformedXML", "A multipart upload is completed with at least one part.")
    if any(one.number >= other.number for one, other in pairwise(chosen)):
        raise S3Error("InvalidPartOrder")
    if any(part.size < _SMALLEST_PART for part in chosen[:-1]):
        raise S3Error("EntityTooSmall")
    return chosen


def _entry(part: Part) -> documents.Content:
    return [
        ("PartNumber", part.number),
        ("LastModified", documents.timestamp(part.modified)),
        ("ETag", f'"{part.etag}"'),
        ("Size", part.size),
    ]
