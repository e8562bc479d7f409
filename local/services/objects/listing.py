"""A page of a bucket's keys, those below a delimiter rolled up into prefixes."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from local.services.objects.errors import S3Error
from local.services.objects.records import Record

_HIGHEST = "\U0010ffff"
_AFTER_ALL = b""  # SQLite sorts every blob behind every text

Reader = Callable[[str, str | bytes], Iterator[Record]]


@dataclass(frozen=True)
class Page:
    records: list[Record]
    prefixes: list[str]
    last: str  # key or prefix that the page ends with
    truncated: bool


def page(read: Reader, *, prefix: str, delimiter: str, after: str, most: int) -> Page:
    """At most `most` keys and prefixes behind `after`; `read` gives records from a key on and before an end."""
    records: list[Record] = []
    prefixes: list[str] = []
    last = ""
    for entry in _entries(read, prefix, delimiter, after):
        if len(records) + len(prefixes) >= most:
            return Page(records, prefixes, last, most > 0)
        if isinstance(entry, str):
            prefixes.append(entry)
            last = entry
        else:
            records.append(entry)
            last = entry.key
    return Page(records, prefixes, last, False)


def token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def from_token(text: str) -> str:
    try:
        return base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as exc:
        raise S3Error("InvalidArgument", "The continuation token is not one of this server's.") from exc


def _entries(read: Reader, prefix: str, delimiter: str, after: str) -> Iterator[Record | str]:
    end = _behind(prefix) or _AFTER_ALL
    first = _first(prefix, delimiter, after)
    while first is not None:
        rolled = None
        for record in read(first, end):
            cut = record.key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                rolled = record.key[: cut + len(delimiter)]
                break
            yield record
        if rolled is None:
            return
        yield rolled
        first = _behind(rolled)


def _first(prefix: str, delimiter: str, after: str) -> str | None:
    """Where to begin: a prefix that was answered already is passed over with all that is in it."""
    if delimiter and after.endswith(delimiter) and after.startswith(prefix) and len(after) > len(prefix):
        return _behind(after)
    return max(prefix, after + "\0") if after else prefix


def _behind(prefix: str) -> str | None:
    """The first text behind everything that begins with the prefix; None when there is none."""
    stem = prefix.rstrip(_HIGHEST)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)
