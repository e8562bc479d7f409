"""Stored objects: how they are called, what is known of each, that each is claimed once, how long its URLs live."""

import hashlib
import uuid
from datetime import datetime, timedelta
from typing import Literal, LiteralString, NamedTuple

from psycopg import Connection
from psycopg.rows import DictRow

CLIENT_URL_SECONDS = 3600
AGENT_URL_SECONDS = 24 * 3600
SIGNING_SLOT = timedelta(seconds=CLIENT_URL_SECONDS // 2)

MODEL_TYPE = "model/gltf-binary"
MODEL_KEY_SQL: LiteralString = "request_uuid || '.glb'"  # `model_key` of a row of tasks


class Address(NamedTuple):
    bucket: str
    object_key: str


class AlreadyClaimed(Exception):
    """The address belongs to another row."""


def model_key(request_uuid: uuid.UUID) -> str:
    """Where the model of a task is expected. An agent may choose another name."""
    return f"{request_uuid}.glb"


def model_filename(request_uuid: uuid.UUID | str) -> str:
    """The name under which a browser saves it."""
    return f"avatar-{request_uuid}.glb"


def signing_time(anchor: datetime, now: datetime) -> datetime:
    """When to sign a URL for a client, so that it is the same for a while and has half of its life left at least.

    Slots begin at `anchor` and not at the full hour: the URLs of all tasks must not change at once.
    """
    return anchor + max(0, (now - anchor) // SIGNING_SLOT) * SIGNING_SLOT


def claim(
    conn: Connection[DictRow],
    *,
    kind: Literal["photo", "model"],
    bucket: str,
    object_key: str,
    content_type: str,
    data: bytes,
) -> int:
    """Write down what an object holds and return the row's id. Raises AlreadyClaimed."""
    row = conn.execute(
        """
        INSERT INTO media_objects (kind, bucket, object_key, content_type, size, sha256)
        VALUES (%(kind)s, %(bucket)s, %(object_key)s, %(content_type)s, %(size)s, %(sha256)s)
        ON CONFLICT (bucket, object_key) DO NOTHING
        RETURNING id
        """,
        {
            "kind": kind,
            "bucket": bucket,
            "object_key": object_key,
            "content_type": content_type,
            "size": len(data),
            "sha256": hashlib.sha256(data).digest(),
        },
    ).fetchone()
    if row is None:
        raise AlreadyClaimed(f"{bucket}/{object_key}")
    return int(row["id"])
