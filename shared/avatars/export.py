"""All that is kept of a user, in parts that fit into an answer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, LiteralString

from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import BaseModel, Field

from avatars.exported import Export, ExportedKey, ExportedSignIn, ExportedTask, ExportedUpload, ExportedUser
from avatars.owners import Owner
from avatars.refusals import UserGone
from avatars.resource import COLLECTION

PATH = "/user-info/export"
MAX_BYTES = 5_000_000  # of the entries of a part as they travel: Lambda answers with 6 MB at most
ROWS_AT_ONCE = 500

# The number of a section, and the key of the last of its entries that was given: a moment with a UUID, or an id.
Cursor = Annotated[str, Field(pattern=r"^([02]\.([0-9]{20}-[0-9a-f-]{36})?|[13]\.[0-9]{0,18})$")]
BEGINNING = "0."


@dataclass(frozen=True)
class Section:
    """One list of an export: what its entries are, and the user's rows, each with a `key` of a type that sorts them.

    What may be long is sorted as an index has it, by the id: a part then reads its own rows alone.
    """

    name: str
    entry: type[BaseModel]
    key: LiteralString
    rows: LiteralString


SECTIONS = (
    Section(
        "sign_ins",
        ExportedSignIn,
        "text",
        """
        SELECT (to_char(created_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS-') || id) COLLATE "C" AS key,
               created_at, expires_at, revoked_at
        FROM refresh_families WHERE user_id = %(user_id)s
        """,
    ),
    Section(
        "api_keys",
        ExportedKey,
        "bigint",
        """
        SELECT id AS key, id, name, prefix, scopes, test_mode, created_at, expires_at, revoked_at, last_used_at
        FROM api_keys WHERE user_id = %(user_id)s
        """,
    ),
    Section(
        "uploads",
        ExportedUpload,
        "text",
        """
        SELECT (to_char(created_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS-') || id) COLLATE "C" AS key,
               id AS upload_id, content_type, size, created_at, expires_at, used_at
        FROM uploads WHERE user_id = %(user_id)s
        """,
    ),
    Section(
        "tasks",
        ExportedTask,
        "bigint",
        """
        SELECT t.id AS key, t.id AS task_id, t.request_uuid, t.api_key_id, t.status, t.progress,
               t.attempt, t.test_mode, t.created_at, t.started_at, t.finished_at, t.options, t.metadata, t.retry_of,
               CASE WHEN t.failure_code IS NOT NULL THEN jsonb_build_object(
                   'code', t.failure_code, 'message', t.failure_message
               ) END AS failure,
               CASE WHEN t.model_id IS NOT NULL THEN jsonb_build_object(
                   'skin_color_hex', t.skin_color_hex, 'vertices', t.vertices, 'triangles', t.triangles
               ) END AS mesh_metadata,
               (
                   SELECT jsonb_agg(jsonb_build_object(
                       'name', m.name, 'content_type', m.content_type, 'bytes', m.size,
                       'sha256', encode(m.sha256, 'hex'),
                       'link', %(tasks)s || '/' || t.request_uuid || '/files/' || m.name
                   ) ORDER BY m.id)
                   FROM (
                       SELECT *, CASE kind WHEN 'photo' THEN 'photo.jpg' ELSE 'model.glb' END AS name FROM media_objects
                       WHERE id IN (t.photo_id, t.model_id)
                   ) m
               ) AS files
        FROM tasks t WHERE t.user_id = %(user_id)s
        """,
    ),
)


def part(conn: Connection[DictRow], owner: Owner, *, base: str, cursor: str) -> Export:
    """What comes after `cursor`, as much of it as fits. Paths begin with `base`. Raises UserGone."""
    user = conn.execute(
        "SELECT id AS user_id, name, email, created_at, test_mode FROM users WHERE id = %s AND disabled_at IS NULL",
        (owner.user_id,),
    ).fetchone()
    if user is None:
        raise UserGone
    export = Export(user=ExportedUser.model_validate(user), sign_ins=[], api_keys=[], uploads=[], tasks=[], next=None)
    room, last = MAX_BYTES, cursor
    for place, section, entry in _entries(conn, user["user_id"], base, cursor):
        room -= len(json.dumps(entry.model_dump_json()))  # it travels as a string inside JSON
        if room < 0 and last != cursor:
            return export.model_copy(update={"next": f"{base}{PATH}?cursor={last}"})
        getattr(export, section.name).append(entry)
        last = place
    return export


def _entries(
    conn: Connection[DictRow], user_id: int, base: str, cursor: str
) -> Iterator[tuple[str, Section, BaseModel]]:
    """Each with the cursor that stands behind it."""
    first, _, key = cursor.partition(".")
    for number in range(int(first), len(SECTIONS)):
        section = SECTIONS[number]
        while rows := _rows(conn, section, user_id, base, key):
            for row in rows:
                key = str(row["key"])
                yield f"{number}.{key}", section, section.entry.model_validate(row)
        key = ""


def _rows(conn: Connection[DictRow], section: Section, user_id: int, base: str, after: str) -> list[DictRow]:
    return conn.execute(
        f"""
        SELECT * FROM ({section.rows}) entries WHERE key > %(after)s::{section.key} ORDER BY key LIMIT %(limit)s
        """,  # noqa: S608  # LiteralStrings alone
        {
            "user_id": user_id,
            "after": after or "0",  # before every moment and every id
            "limit": ROWS_AT_ONCE,
            "tasks": base + COLLECTION,
        },
    ).fetchall()
