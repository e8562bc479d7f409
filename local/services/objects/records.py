"""What the index holds, and the queries over it: the caller owns the connection."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from local.services.objects.errors import S3Error


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    created: float
    cors: bytes | None


@dataclass(frozen=True, slots=True)
class Record:
    """An object: its file never changes, a new object gets a new one."""

    key: str
    file: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str]
    checksums: dict[str, str]


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is neither completed nor aborted."""

    id: str
    bucket: str
    key: str
    created: float
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    file: str
    size: int
    etag: str
    modified: float


def buckets(conn: sqlite3.Connection) -> list[Bucket]:
    return [Bucket(*row) for row in conn.execute("SELECT name, created, cors FROM buckets ORDER BY name")]


def add_bucket(conn: sqlite3.Connection, bucket: Bucket) -> None:
    try:
        conn.execute("INSERT INTO buckets VALUES (?, ?, ?)", (bucket.name, bucket.created, bucket.cors))
    except sqlite3.IntegrityError as exc:
        raise S3Error("BucketAlreadyOwnedByYou") from exc


def remove_bucket(conn: sqlite3.Connection, name: str) -> None:
    try:
        conn.execute("DELETE FROM buckets WHERE name = ?", (name,))
    except sqlite3.IntegrityError as exc:
        raise S3Error("BucketNotEmpty") from exc


def set_cors(conn: sqlite3.Connection, name: str, cors: bytes | None) -> None:
    conn.execute("UPDATE buckets SET cors = ? WHERE name = ?", (cors, name))


def find(conn: sqlite3.Connection, bucket: str, key: str) -> Record | None:
    query = "SELECT key, file, size, etag, modified, headers, checksums FROM objects WHERE bucket = ? AND key = ?"
    row = conn.execute(query, (bucket, key)).fetchone()
    return None if row is None else _record(row)


def from_key(conn: sqlite3.Connection, bucket: str, first: str, end: str | bytes) -> Iterator[Record]:
    """Objects in the order of their keys, from `first` on and before `end`, read as they are asked for."""
    rows = conn.execute(
        "SELECT key, file, size, etag, modified, '{}' AS headers, '{}' AS checksums FROM objects"
        " WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key",
        (bucket, first, end),
    )
    return map(_record, rows)


def put(conn: sqlite3.Connection, bucket: str, record: Record) -> None:
    headers, checksums = json.dumps(record.headers), json.dumps(record.checksums)
    values = (bucket, record.key, record.file, record.size, record.etag, record.modified, headers, checksums)
    try:
        conn.execute("REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    except sqlite3.IntegrityError as exc:
        raise S3Error("NoSuchBucket") from exc


def remove(conn: sqlite3.Connection, bucket: str, key: str) -> str | None:
    """The file the object had, if there was one."""
    query = "DELETE FROM objects WHERE bucket = ? AND key = ? RETURNING file"
    return _only(conn.execute(query, (bucket, key)))


def add_upload(conn: sqlite3.Connection, upload: Upload) -> None:
    values = (upload.id, upload.bucket, upload.key, upload.created, json.dumps(upload.headers))
    try:
        conn.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", values)
    except sqlite3.IntegrityError as exc:
        raise S3Error("NoSuchBucket") from exc


def upload(conn: sqlite3.Connection, upload_id: str, bucket: str, key: str) -> Upload:
    query = "SELECT id, bucket, key, created, headers FROM uploads WHERE id = ? AND bucket = ? AND key = ?"
    row = conn.execute(query, (upload_id, bucket, key)).fetchone()
    if row is None:
        raise S3Error("NoSuchUpload")
    return Upload(**{**dict(row), "headers": json.loads(row["headers"])})


def parts(conn: sqlite3.Connection, upload_id: str) -> list[Part]:
    query = "SELECT number, file, size, etag, modified FROM parts WHERE upload = ? ORDER BY number"
    return [Part(*row) for row in conn.execute(query, (upload_id,))]


def put_part(conn: sqlite3.Connection, upload_id: str, part: Part) -> str | None:
    """The file the part had before, if there was one."""
    query = "SELECT file FROM parts WHERE upload = ? AND number = ?"
    before = _only(conn.execute(query, (upload_id, part.number)))
    values = (upload_id, part.number, part.file, part.size, part.etag, part.modified)
    try:
        conn.execute("REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)", values)
    except sqlite3.IntegrityError as exc:
        raise S3Error("NoSuchUpload") from exc
    return before


def remove_upload(conn: sqlite3.Connection, upload_id: str) -> None:
    conn.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))


def forget_uploads(conn: sqlite3.Connection, *, before: float) -> None:
    conn.execute("DELETE FROM uploads WHERE created < ?", (before,))


def files(conn: sqlite3.Connection) -> set[str]:
    """Every file that is still somebody's."""
    return {row[0] for row in conn.execute("SELECT file FROM objects UNION ALL SELECT file FROM parts")}


def _only(rows: sqlite3.Cursor) -> str | None:
    return next((str(row[0]) for row in rows.fetchall()), None)


def _record(row: sqlite3.Row) -> Record:
    unpacked = {"headers": json.loads(row["headers"]), "checksums": json.loads(row["checksums"])}
    return Record(**{**dict(row), **unpacked})
