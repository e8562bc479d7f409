"""Buckets, objects and uploads that last: files for the bytes, the index for everything else."""

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

from filelock import FileLock, Timeout

from local.services.objects import records
from local.services.objects.checksums import Promises
from local.services.objects.errors import S3Error
from local.services.objects.files import Draft, Files
from local.services.objects.index import Index
from local.services.objects.records import Bucket, Part, Record, Upload

_UPLOAD_LIFE = 7 * 24 * 3600
_PIECE = 1 << 20

Guard = Callable[[Record | None], None]
T = TypeVar("T")


class StorageError(Exception):
    """The data folder cannot be used."""


class Storage:
    """For one event loop: what waits for the disk runs in threads and is awaited.

    Only the loop's own thread removes files, so one that it has just looked up is there to be opened.
    A `guard` sees the object about to be replaced and may raise S3Error: then nothing changes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = FileLock(folder / "lock")
        try:
            self._lock.acquire(timeout=5)
        except Timeout as exc:
            raise StorageError(f"{folder} is used by another S3 server: stop that one or choose other --data") from exc
        self._files = Files(folder)
        self._index = Index(folder / "index.sqlite")
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="storage")
        self._writers = 0
        with self._index.transaction() as conn:
            records.forget_uploads(conn, before=time.time() - _UPLOAD_LIFE)
        self._files.sweep(records.files(self._index.reader))
        self._buckets = self._read_buckets()

    def close(self) -> None:
        self._threads.shutdown()
        self._index.close()
        self._files.close()
        self._lock.release()

    def buckets(self) -> list[Bucket]:
        return list(self._buckets.values())

    def bucket(self, name: str) -> Bucket:
        if name not in self._buckets:
            raise S3Error("NoSuchBucket", BucketName=name)
        return self._buckets[name]

    def cors(self, name: str) -> bytes | None:
        """The bucket's CORS document, if there are such a bucket and document."""
        return self._buckets[name].cors if name in self._buckets else None

    async def create_bucket(self, name: str) -> None:
        await self._change(lambda conn: records.add_bucket(conn, Bucket(name, time.time(), None)))
        self._buckets = self._read_buckets()

    async def delete_bucket(self, name: str) -> None:
        await self._change(lambda conn: records.remove_bucket(conn, name))
        self._buckets = self._read_buckets()

    async def set_cors(self, name: str, document: bytes | None) -> None:
        await self._change(lambda conn: records.set_cors(conn, name, document))
        self._buckets = self._read_buckets()

    def find(self, bucket: str, key: str) -> Record | None:
        return records.find(self._index.reader, bucket, key)

    def record(self, bucket: str, key: str) -> Record:
        record = self.find(self.bucket(bucket).name, key)
        if record is None:
            raise S3Error("NoSuchKey", Key=key)
        return record

    def records_from(self, bucket: str, first: str, end: str | bytes) -> Iterator[Record]:
        return records.from_key(self._index.reader, bucket, first, end)

    def open(self, record: Record) -> BinaryIO:
        """The bytes of a record found just now: before anything was awaited."""
        return self._files.open(record.file)

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        self._writers += 1
        try:
            with self._files.draft() as draft:
                yield draft
        finally:
            self._writers -= 1

    async def put(
        self, bucket: str, key: str, draft: Draft, *, headers: dict[str, str], checksums: dict[str, str], guard: Guard
    ) -> Record:
        def keep() -> tuple[Record, str | None]:
            etag = draft.md5.hex()
            with self._kept(draft) as file, self._index.transaction() as conn:
                record = Record(key, file, draft.size, etag, time.time(), headers, checksums)
                return record, _replace(conn, bucket, record, guard)

        # One small object at a time is put sooner without going through a thread: that would cost a tenth more.
        alone = self._writers == 1 and draft.size <= _PIECE
        record, replaced = keep() if alone else await self._run(keep)
        self._drop([replaced])
        return record

    async def copy(self, source: Record, bucket: str, key: str, *, headers: dict[str, str], guard: Guard) -> Record:
        """The same bytes under another key, of a record found just now."""
        twin = self._files.link(source.file)
        record = replace(source, key=key, file=twin, modified=time.time(), headers=headers)

        def keep() -> str | None:
            self._files.sync()
            with self._index.transaction() as conn:
                return _replace(conn, bucket, record, guard)

        try:
            replaced = await self._run(keep)
        except BaseException:
            self._files.drop([twin])
            raise
        self._drop([replaced])
        return record

    async def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Keys that name nothing are as good as deleted."""
        removed = await self._change(lambda conn: [records.remove(conn, bucket, key) for key in keys])
        self._drop(removed)

    async def create_upload(self, bucket: str, key: str, headers: dict[str, str]) -> Upload:
        upload = Upload(uuid4().hex, bucket, key, time.time(), headers)
        await self._change(lambda conn: records.add_upload(conn, upload))
        return upload

    def upload(self, upload_id: str, bucket: str, key: str) -> Upload:
        return records.upload(self._index.reader, upload_id, bucket, key)

    def parts(self, upload: Upload) -> list[Part]:
        return records.parts(self._index.reader, upload.id)

    async def put_part(self, upload: Upload, number: int, draft: Draft, pieces: Iterable[bytes] = ()) -> Part:
        """`pieces` are written to the draft first."""

        def keep() -> tuple[Part, str | None]:
            for piece in pieces:
                draft.write(piece)
            etag = draft.md5.hex()
            with self._kept(draft) as file, self._index.transaction() as conn:
                part = Part(number, file, draft.size, etag, time.time())
                return part, records.put_part(conn, upload.id, part)

        part, replaced = await self._run(keep)
        self._drop([replaced])
        return part

    async def complete(self, upload: Upload, parts: Sequence[Part], promises: Promises, guard: Guard) -> Record:
        """One object out of the parts, which cease to exist; `promises` are about the object."""

        def keep() -> tuple[Record, list[str | None]]:
            with self._files.draft() as draft:
                self._join(parts, draft, promises)
                checksums = promises.verify({})
                with self._kept(draft) as file, self._index.transaction() as conn:
                    upload_now = records.upload(conn, upload.id, upload.bucket, upload.key)
                    everything = records.parts(conn, upload_now.id)
                    if not set(parts).issubset(everything):
                        raise S3Error("InvalidPart")
                    etag = _joint_etag(parts)
                    record = Record(upload.key, file, draft.size, etag, time.time(), upload.headers, checksums)
                    replaced = _replace(conn, upload.bucket, record, guard)
                    records.remove_upload(conn, upload.id)
                    return record, [replaced, *(part.file for part in everything)]

        record, dropped = await self._run(keep)
        self._drop(dropped)
        return record

    async def abort(self, upload: Upload) -> None:
        def forget(conn: sqlite3.Connection) -> list[str]:
            files = [part.file for part in records.parts(conn, upload.id)]
            records.remove_upload(conn, upload.id)
            return files

        self._drop(await self._change(forget))

    def _join(self, parts: Sequence[Part], draft: Draft, promises: Promises) -> None:
        for part in parts:
            try:
                file = self._files.open(part.file)
            except FileNotFoundError as exc:  # replaced or aborted meanwhile
                raise S3Error("InvalidPart") from exc
            with file:
                while piece := file.read(_PIECE):
                    draft.write(piece)
                    promises.update(piece)

    @contextmanager
    def _kept(self, draft: Draft) -> Iterator[str]:
        """The draft's name as a finished file, which goes again when what follows fails."""
        name = draft.path.name
        try:
            self._files.keep(draft)
            yield name
        except BaseException:
            self._files.drop([name])
            raise

    def _read_buckets(self) -> Mapping[str, Bucket]:
        return {bucket.name: bucket for bucket in records.buckets(self._index.reader)}

    def _drop(self, names: Iterable[str | None]) -> None:
        """Soon: the answer need not wait for it."""
        asyncio.get_running_loop().call_soon(self._files.drop, names)

    async def _change(self, change: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            with self._index.transaction() as conn:
                return change(conn)

        return await self._run(run)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _replace(conn: sqlite3.Connection, bucket: str, record: Record, guard: Guard) -> str | None:
    """Makes the record the object of its key; answers with the file of the one before."""
    before = records.find(conn, bucket, record.key)
    guard(before)
    records.put(conn, bucket, record)
    return before.file if before else None


def _joint_etag(parts: Sequence[Part]) -> str:
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
