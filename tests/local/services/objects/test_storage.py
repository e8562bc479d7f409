"""Storage by itself: what its start forgets, and what a failure leaves."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest

from local.services.objects.errors import S3Error
from local.services.objects.records import Record, Upload
from local.services.objects.storage import Storage

DAY = 24 * 3600


@contextmanager
def opened(folder: Path) -> Iterator[Storage]:
    storage = Storage(folder)
    try:
        yield storage
    finally:
        storage.close()


def kept(folder: Path) -> int:
    return len(list((folder / "objects").iterdir()))


def nothing_matters(record: Record | None) -> None:
    """A guard that lets everything pass."""


async def put(storage: Storage, key: str, body: bytes) -> Record:
    with storage.draft() as draft:
        draft.write(body)
        return await storage.put("b", key, draft, headers={}, checksums={}, guard=nothing_matters)


async def begin(storage: Storage) -> Upload:
    upload = await storage.create_upload("b", "k", {})
    with storage.draft() as draft:
        draft.write(b"part")
        await storage.put_part(upload, 1, draft)
    return upload


@pytest.mark.parametrize(("age", "left"), [(6 * DAY, 1), (8 * DAY, 0)])
def test_an_upload_is_forgotten_after_a_week(tmp_path: Path, age: int, left: int) -> None:
    with opened(tmp_path) as storage:
        asyncio.run(storage.create_bucket("b"))
        with patch("time.time", return_value=time.time() - age):
            upload = asyncio.run(begin(storage))
    with opened(tmp_path) as storage:
        assert kept(tmp_path) == left
        if left:
            assert [part.size for part in storage.parts(storage.upload(upload.id, "b", "k"))] == [4]
        else:
            with pytest.raises(S3Error):
                storage.upload(upload.id, "b", "k")


@pytest.mark.parametrize("others", [False, True])
def test_what_a_guard_refuses_leaves_no_file(tmp_path: Path, others: bool) -> None:
    def refuse(record: Record | None) -> None:
        raise S3Error("PreconditionFailed")

    async def attempt(storage: Storage) -> None:
        await storage.create_bucket("b")
        with storage.draft() as draft:
            draft.write(b"refused")
            await storage.put("b", "k", draft, headers={}, checksums={}, guard=refuse)

    with opened(tmp_path) as storage:
        with pytest.raises(S3Error), storage.draft() if others else nullcontext():
            asyncio.run(attempt(storage))
        assert (kept(tmp_path), storage.find("b", "k")) == (0, None)


def test_a_disk_that_fails_fails_the_put_and_keeps_what_was_there(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        asyncio.run(storage.create_bucket("b"))
        before = asyncio.run(put(storage, "k", b"before"))
        with patch("os.fsync", side_effect=OSError(5, "Input/output error")), pytest.raises(OSError, match="Input"):
            asyncio.run(put(storage, "k", b"after"))
        with storage.open(before) as file:
            assert file.read() == b"before"
        assert (storage.find("b", "k"), kept(tmp_path)) == (before, 1)


def test_a_bucket_removed_during_an_upload_gets_no_object(tmp_path: Path) -> None:
    async def overtaken(storage: Storage) -> None:
        await storage.create_bucket("b")
        with storage.draft() as draft:
            draft.write(b"late")
            await storage.delete_bucket("b")
            await storage.put("b", "k", draft, headers={}, checksums={}, guard=nothing_matters)

    with opened(tmp_path) as storage:
        with pytest.raises(S3Error) as refused:
            asyncio.run(overtaken(storage))
        assert (refused.value.code, kept(tmp_path)) == ("NoSuchBucket", 0)


def test_a_replaced_file_goes_and_one_that_is_being_read_is_read_to_the_end(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        asyncio.run(storage.create_bucket("b"))
        reading = storage.open(asyncio.run(put(storage, "k", b"before")))
        asyncio.run(put(storage, "k", b"after"))
        asyncio.run(put(storage, "k", b"last"))
        with reading:
            assert reading.read() == b"before"
        assert kept(tmp_path) == 1
