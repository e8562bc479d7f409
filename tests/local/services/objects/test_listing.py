"""Pages of keys: whatever the keys and the page, all of them come once and in order."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.services.objects import listing, records
from local.services.objects.index import Index
from local.services.objects.records import Bucket, Record

KEYS = st.text(st.sampled_from("ab/-\0é\ud7ff\ue000\U0010ffff"), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    opened = Index(tmp_path_factory.mktemp("index") / "index.sqlite")
    with opened.transaction() as conn:
        records.add_bucket(conn, Bucket("b", 0, None))
    yield opened
    opened.close()


def fill(index: Index, keys: set[str]) -> None:
    with index.transaction() as conn:
        conn.execute("DELETE FROM objects")
        for key in keys:
            records.put(conn, "b", Record(key, key, 0, "", 0, {}, {}))


def pages(index: Index, prefix: str, delimiter: str, most: int) -> list[str]:
    """Everything that following the pages gives, with no page too long."""
    found: list[str] = []
    after = ""
    while True:
        page = listing.page(
            lambda first, end: records.from_key(index.reader, "b", first, end),
            prefix=prefix,
            delimiter=delimiter,
            after=after,
            most=most,
        )
        entries = sorted([record.key for record in page.records] + page.prefixes)
        assert len(entries) <= most
        found += entries
        if not page.truncated:
            return found
        after = listing.from_token(listing.token(page.last))


def expected(keys: set[str], prefix: str, delimiter: str) -> list[str]:
    def shown(key: str) -> str:
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        return key if cut < 0 else key[: cut + len(delimiter)]

    return sorted({shown(key) for key in keys if key.startswith(prefix)})


@given(
    keys=st.sets(KEYS, max_size=12),
    prefix=st.text(st.sampled_from("ab/\U0010ffff"), max_size=2),
    delimiter=st.sampled_from(["", "/", "-", "//", "\U0010ffff"]),
    most=st.integers(1, 5),
)
def test_following_the_pages_gives_every_key_once(
    index: Index, keys: set[str], prefix: str, delimiter: str, most: int
) -> None:
    fill(index, keys)
    assert pages(index, prefix, delimiter, most) == expected(keys, prefix, delimiter)


def test_a_page_reads_no_more_than_it_shows(index: Index) -> None:
    fill(index, {f"a/{number:04}" for number in range(2000)} | {f"b/{number:04}" for number in range(2000)})
    read: list[str] = []

    def reader(first: str, end: str | bytes) -> Iterator[Record]:
        for record in records.from_key(index.reader, "b", first, end):
            read.append(record.key)
            yield record

    page = listing.page(reader, prefix="", delimiter="/", after="", most=10)
    assert (page.prefixes, page.truncated, read) == (["a/", "b/"], False, ["a/0000", "b/0000"])
    read.clear()
    listing.page(reader, prefix="", delimiter="", after="a/1000", most=10)
    assert len(read) == 11
