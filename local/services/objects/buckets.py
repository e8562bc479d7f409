"""Operations on buckets: create, list, describe and delete them, their CORS rules, their keys."""

import re
from urllib.parse import quote

from local.services.objects import cors, documents, listing
from local.services.objects.answer import Answer, document
from local.services.objects.call import Call
from local.services.objects.errors import S3Error
from local.services.objects.listing import Page
from local.services.objects.records import Record

_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_MOST_KEYS = 1000
_OWNER = [("ID", "facet"), ("DisplayName", "facet")]


async def list_buckets(call: Call) -> Answer:
    visible = [bucket for bucket in call.storage.buckets() if call.caller.may("any", bucket.name)]
    entries = [
        ("Bucket", [("Name", bucket.name), ("CreationDate", documents.timestamp(bucket.created))]) for bucket in visible
    ]
    return document("ListAllMyBucketsResult", [("Owner", _OWNER), ("Buckets", entries)])


async def create_bucket(call: Call) -> Answer:
    name = call.request.bucket
    if not _NAME.fullmatch(name):
        raise S3Error("InvalidBucketName", BucketName=name)
    if call.request.headers.get("content-length", "0") != "0":
        documents.parse(await call.body.document(), "CreateBucketConfiguration")
    await call.storage.create_bucket(name)
    return Answer(headers={"Location": f"/{name}"})


async def head_bucket(call: Call) -> Answer:
    call.storage.bucket(call.request.bucket)
    return Answer(headers={"x-amz-bucket-region": call.caller.region})


async def delete_bucket(call: Call) -> Answer:
    await call.storage.delete_bucket(call.storage.bucket(call.request.bucket).name)
    return Answer(204)


async def locate_bucket(call: Call) -> Answer:
    call.storage.bucket(call.request.bucket)
    region = call.caller.region
    return document("LocationConstraint", "" if region == "us-east-1" else region)


async def get_cors(call: Call) -> Answer:
    rules = call.storage.bucket(call.request.bucket).cors
    if rules is None:
        raise S3Error("NoSuchCORSConfiguration")
    return Answer(200, {"Content-Type": "application/xml"}, rules)


async def put_cors(call: Call) -> Answer:
    bucket = call.storage.bucket(call.request.bucket)
    rules = await call.body.document()
    cors.parse(rules)
    await call.storage.set_cors(bucket.name, rules)
    return Answer()


async def delete_cors(call: Call) -> Answer:
    await call.storage.set_cors(call.storage.bucket(call.request.bucket).name, None)
    return Answer(204)


async def list_objects(call: Call) -> Answer:
    """The older listing: pages follow a marker, which is a key."""
    marker = call.request.query.get("marker", "")
    page = _page(call, after=marker)
    more: documents.Children = [("Marker", _written(call, marker))]
    if page.truncated:
        more.append(("NextMarker", _written(call, page.last)))
    return _listed(call, page, more)


async def list_objects_v2(call: Call) -> Answer:
    """The newer listing: pages follow a token, the first may follow a key."""
    query = call.request.query
    start, token = query.get("start-after", ""), query.get("continuation-token", "")
    page = _page(call, after=listing.from_token(token) if token else start)
    more: documents.Children = [("KeyCount", len(page.records) + len(page.prefixes))]
    if start:
        more.append(("StartAfter", _written(call, start)))
    if token:
        more.append(("ContinuationToken", token))
    if page.truncated:
        more.append(("NextContinuationToken", listing.token(page.last)))
    return _listed(call, page, more)


def _page(call: Call, *, after: str) -> Page:
    bucket, query = call.storage.bucket(call.request.bucket).name, call.request.query
    return listing.page(
        lambda first, end: call.storage.records_from(bucket, first, end),
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=after,
        most=_most(call),
    )


def _listed(call: Call, page: Page, more: documents.Children) -> Answer:
    query = call.request.query
    content: documents.Children = [
        ("Name", call.request.bucket),
        ("Prefix", _written(call, query.get("prefix", ""))),
        ("MaxKeys", _most(call)),
        ("IsTruncated", page.truncated),
        *more,
    ]
    if query.get("delimiter"):
        content.append(("Delimiter", _written(call, query["delimiter"])))
    if query.get("encoding-type"):
        content.append(("EncodingType", query["encoding-type"]))
    content += [("Contents", _entry(call, record)) for record in page.records]
    content += [("CommonPrefixes", [("Prefix", _written(call, prefix))]) for prefix in page.prefixes]
    return document("ListBucketResult", content)


def _entry(call: Call, record: Record) -> documents.Content:
    return [
        ("Key", _written(call, record.key)),
        ("LastModified", documents.timestamp(record.modified)),
        ("ETag", f'"{record.etag}"'),
        ("Size", record.size),
        ("StorageClass", "STANDARD"),
    ]


def _most(call: Call) -> int:
    return call.request.number("max-keys", _MOST_KEYS, most=_MOST_KEYS)


def _written(call: Call, text: str) -> str:
    """A key as the client wants it: XML has no word for some characters, addresses have one for all."""
    encoding = call.request.query.get("encoding-type", "")
    if encoding not in ("", "url"):
        raise S3Error("InvalidArgument", "encoding-type must be url.")
    return quote(text, safe="/") if encoding else text
