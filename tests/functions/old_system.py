"""The system Facet replaces, as its operator hands it over: a database from a dump, and a storage with its files."""

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString
from urllib.parse import quote

from PIL import Image

from tests.conftest import Settings
from tests.functions import api
from tests.local.services.objects.server import Server
from tests.servers import empty_database, postgres

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

DUMP = Path(__file__).parents[1] / "data" / "legacy.sql"
S3_KEY, S3_SECRET = "old-owner", "s3/cret@of+old"
S3_KEYS = ({"access_key": S3_KEY, "secret_key": S3_SECRET},)
LOST = {"photo_lost.jpg", "photo_lost_and_failed.jpg", "model_lost.glb"}


@dataclass(frozen=True)
class OldSystem:
    settings: Settings
    s3_url: str

    @property
    def dsn(self) -> str:
        at = self.settings
        login = f"{at['POSTGRES_USER']}:{quote(at['POSTGRES_PASSWORD'], safe='')}"
        return f"postgresql://{login}@{at['POSTGRES_HOST']}:{at['POSTGRES_PORT']}/{at['POSTGRES_DB']}"

    def change(self, statement: LiteralString) -> None:
        with postgres(self.settings) as conn:
            conn.execute(statement)

    def event(self, **more: object) -> dict[str, object]:
        return {"dsn": self.dsn, "s3_url": self.s3_url, **more}

    def hand_over(self, **more: object) -> list[dict[str, Any]]:
        """Import all of it; what each batch answered."""
        batches: list[dict[str, Any]] = []
        cursor = "users"
        while cursor is not None:
            batches.append(api.invoke("import_legacy", self.event(after=cursor, **more)))
            cursor = batches[-1]["cursor"]
        return batches


def counts(batches: list[dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    """Per phase: imported, already there, skipped."""
    return {
        phase: (
            sum(batch["imported"] for batch in batches if batch["phase"] == phase),
            sum(batch["present"] for batch in batches if batch["phase"] == phase),
            sum(len(batch["skipped"]) for batch in batches if batch["phase"] == phase),
        )
        for phase in ("users", "tasks")
    }


def remarks(batches: list[dict[str, Any]], kind: str) -> dict[tuple[str, int], str]:
    """The codes of what was `skipped` or `changed`; of several the last."""
    return {(remark["what"], remark["id"]): remark["code"] for batch in batches for remark in batch[kind]}


@contextmanager
def restored(settings: Settings, worker: str, s3_url: str) -> Iterator[OldSystem]:
    """The dump in a database of its own."""
    with empty_database(settings, f"{worker}_old") as old:
        with postgres(old) as conn:
            conn.execute(DUMP.read_text().encode())
        yield OldSystem(old, s3_url)


def s3_url(server: Server, secret: str = S3_SECRET) -> str:
    return f"http://{S3_KEY}:{quote(secret, safe='')}@127.0.0.1:{server.port}"


def fill(s3: "S3Client", files: Mapping[str, str], model: bytes) -> None:
    """Every file that the dump names (`files`: name to bucket), but those that got lost."""
    for bucket in ("input-images", "3d-files"):
        s3.create_bucket(Bucket=bucket)
    for name, bucket in files.items():
        if name not in LOST and bucket != "a-bucket-that-went":
            body = contents(name, model)
            s3.put_object(Bucket=bucket, Key=name, Body=body, ContentType="application/octet-stream")


def contents(name: str, model: bytes) -> bytes:
    if name == "model_damaged.glb":
        return b"glTF, they said"
    if name.endswith(".glb"):
        return model
    out = io.BytesIO()
    picture = Image.new("RGB", (80, 80), "#ba997a")
    if name.endswith(".gif"):
        picture.save(out, "GIF", save_all=True, append_images=[Image.new("RGB", (80, 80))])
    elif name.endswith(".png"):
        picture.save(out, "PNG")
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8825)[1] = "N"  # GPSLatitudeRef
        picture.save(out, "JPEG", exif=exif)
    return out.getvalue()


def environment_of(settings: Settings) -> dict[str, str]:
    """For a process beside this one that is to import as well."""
    return {**os.environ, **settings}


def files_of(settings: Settings) -> dict[str, str]:
    with postgres(settings) as conn:
        rows: list[tuple[Any, ...]] = conn.execute("SELECT file_name, bucket FROM minio_metadata").fetchall()
    return dict(rows)
