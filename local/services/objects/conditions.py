"""If-Match and its family, and Range."""

import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime

from local.services.objects.errors import S3Error
from local.services.objects.records import Record

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


def unmodified(headers: Mapping[str, str], record: Record, prefix: str = "") -> bool:
    """Whether a reader has this already; raises S3Error when it asked for another object than this."""
    match, unmodified_since = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-unmodified-since")
    none_match, modified_since = headers.get(f"{prefix}if-none-match"), headers.get(f"{prefix}if-modified-since")
    if match is not None:
        if not _names(match, record):
            raise S3Error("PreconditionFailed", Condition="If-Match")
    elif unmodified_since is not None and _later(record, unmodified_since):
        raise S3Error("PreconditionFailed", Condition="If-Unmodified-Since")
    if none_match is not None:
        return _names(none_match, record)
    return modified_since is not None and not _later(record, modified_since, unreadable=True)


def allow_write(headers: Mapping[str, str], record: Record | None) -> None:
    """Raises S3Error when the object that would be replaced, or its absence, is not what the writer expects."""
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if match is not None and record is None:
        raise S3Error("NoSuchKey")
    if match is not None and record is not None and not _names(match, record):
        raise S3Error("PreconditionFailed", Condition="If-Match")
    if none_match is not None and record is not None and _names(none_match, record):
        raise S3Error("PreconditionFailed", Condition="If-None-Match")


def span(headers: Mapping[str, str], record: Record) -> tuple[int, int] | None:
    """First byte and count that `Range` asks for; None for the whole, as for a range of something else."""
    found = _RANGE.fullmatch(headers.get("range", ""))
    expected = headers.get("if-range")
    if expected is not None and expected not in (f'"{record.etag}"', http_date(record.modified)):
        return None
    if found is None or found.group() == "bytes=-":
        return None
    return _span(found[1], found[2], record.size)


def _span(first: str, last: str, size: int) -> tuple[int, int] | None:
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if last and first and int(last) < int(first):
        return None
    if start >= size:
        raise S3Error("InvalidRange", ActualObjectSize=str(size))
    return start, end - start


def _names(tags: str, record: Record) -> bool:
    named = {tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")}
    return "*" in named or record.etag in named


def _later(record: Record, date: str, *, unreadable: bool = False) -> bool:
    """Whether the object changed after that date; `unreadable` is the answer when it is none."""
    try:
        return int(record.modified) > parsedate_to_datetime(date).timestamp()
    except ValueError:
        return unreadable
