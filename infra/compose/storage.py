"""The object store's part of a backup: an index, and each content once, by its SHA-256; no known one is read again."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.compose.folder import BackupFailed

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

INDEX, CONTENTS = "objects.jsonl", "objects"
AT_ONCE = 8
_PIECE = 1_048_576
_KEPT = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "Metadata")
_ABSENT = ("404", "NoSuchBucket", "NoSuchKey")
Entry = dict[str, Any]


class Store:
    """The buckets of the settings; every method raises BackupFailed when the store cannot be reached or refuses."""

    def __init__(self, at: Mapping[str, str]) -> None:
        self.buckets = [at[f"MINIO_{kind}_BUCKET"] for kind in ("IMAGES", "3D_FILES", "DECA_EMOTIONS")]
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=at["MINIO_HOST"],
            aws_access_key_id=at["MINIO_ACCESS_KEY"],
            aws_secret_access_key=at["MINIO_SECRET_KEY"],
            region_name=at.get("MINIO_REGION", "us-east-1"),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                max_pool_connections=AT_ONCE,
                request_checksum_calculation="when_required",  # not every S3 understands trailing checksums
                response_checksum_validation="when_required",
            ),
        )

    def save(self, folder: Path, former: Path | None) -> dict[Path, str]:
        """Every object there is now; the contents' checksums by their files."""
        known = {(each["bucket"], each["key"]): each for each in index(former)} if former else {}
        (folder / CONTENTS).mkdir()
        sums: dict[Path, str] = {}
        with _told(), ThreadPoolExecutor(AT_ONCE) as pool, (folder / INDEX).open("w") as output:
            for entry in pool.map(lambda listed: self._saved(listed, folder, former, known), self._listed()):
                if entry:
                    output.write(json.dumps(entry) + "\n")
                    sums[content(folder, entry)] = entry["sha256"]
        return sums

    def filled(self) -> list[str]:
        """The buckets that have objects."""
        with _told():
            return list(dict.fromkeys(entry["bucket"] for entry in self._listed()))

    def restore(self, folder: Path) -> int:
        """Put every object back and remove all others; how many there are."""
        entries = list(index(folder))
        wanted = {(entry["bucket"], entry["key"]) for entry in entries}
        with _told(), ThreadPoolExecutor(AT_ONCE) as pool:
            for bucket in dict.fromkeys(entry["bucket"] for entry in entries):
                self._ensure(bucket)
            list(pool.map(lambda entry: self._put(entry, folder), entries))
            for entry in list(self._listed()):
                if (entry["bucket"], entry["key"]) not in wanted:
                    self._client.delete_object(Bucket=entry["bucket"], Key=entry["key"])
        return len(entries)

    def _listed(self) -> Iterator[Entry]:
        for bucket in self.buckets:
            try:
                for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                    for each in page.get("Contents", []):
                        yield {"bucket": bucket, "key": each["Key"], "size": each["Size"], "etag": each["ETag"]}
            except ClientError as error:
                if error.response["Error"]["Code"] not in _ABSENT:
                    raise

    def _saved(
        self, listed: Entry, folder: Path, former: Path | None, known: Mapping[tuple[str, str], Entry]
    ) -> Entry | None:
        """None for an object that was deleted meanwhile."""
        before = known.get((listed["bucket"], listed["key"]))
        if former and before and all(before[name] == listed[name] for name in ("size", "etag")):
            _link(content(former, before), content(folder, before))
            return before
        try:
            found = self._client.get_object(Bucket=listed["bucket"], Key=listed["key"])
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        kept = {name: value for name in _KEPT if (value := found.get(name))}
        # It may have been replaced since it was listed: the answer's own length and ETag count.
        entry = {**listed, "size": found["ContentLength"], "etag": found["ETag"], "headers": kept}
        return entry | {"sha256": _written(found["Body"].iter_chunks(_PIECE), folder)}

    def _ensure(self, bucket: str) -> None:
        try:
            self._client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise
            self._client.create_bucket(Bucket=bucket)

    def _put(self, entry: Entry, folder: Path) -> None:
        with content(folder, entry).open("rb") as body:
            self._client.put_object(Bucket=entry["bucket"], Key=entry["key"], Body=body, **entry["headers"])


def index(folder: Path) -> Iterator[Entry]:
    """The objects of a backup."""
    with (folder / INDEX).open() as lines:
        yield from map(json.loads, lines)


def content(folder: Path, entry: Mapping[str, Any]) -> Path:
    """The file of an object's content."""
    name = str(entry["sha256"])
    return folder / CONTENTS / name[:2] / name


def _written(chunks: Iterator[bytes], folder: Path) -> str:
    """The SHA-256 under which the content lies in the folder now."""
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=folder / CONTENTS, delete=False) as draft:
        for chunk in chunks:
            digest.update(chunk)
            draft.write(chunk)
        draft.flush()
        os.fsync(draft.fileno())
    _link(Path(draft.name), content(folder, {"sha256": digest.hexdigest()}))
    Path(draft.name).unlink()
    return digest.hexdigest()


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        try:
            target.hardlink_to(source)
        except OSError:  # a file system without hard links
            shutil.copy2(source, target)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise BackupFailed(f"The object store does not do it: {error}. Next: docker compose ps minio") from error
