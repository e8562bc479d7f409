"""Rows of the old system, read a page at a time in the order of their ids."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from psycopg import Connection, sql
from psycopg.rows import DictRow

from avatars.legacy_schema import Table, Tables

HIGHEST_ID = 2**53 - 1  # what a client that reads JSON as floating point keeps exactly


@dataclass(frozen=True)
class OldUser:
    id: int
    email: str
    password_hash: str
    name: str
    created_at: datetime | None


class OldFile(NamedTuple):
    bucket: str
    name: str


@dataclass(frozen=True)
class OldTask:
    """`email` is its user's; `photo` and `model` are None where the row names no file."""

    id: int
    request_uuid: str
    status: str
    user_id: int | None
    email: str | None
    client_type: str
    photo: OldFile | None
    model: OldFile | None
    skin_color: str
    created_at: datetime | None
    updated_at: datetime | None


class Size(NamedTuple):
    """How many rows a table has, how many of them up to some id, and its highest usable id."""

    total: int
    done: int
    highest: int


def size(conn: Connection[DictRow], table: Table, upto: int | None) -> Size:
    query = sql.SQL(
        """
        SELECT count(*) AS total, count(*) FILTER (WHERE {id} <= %(upto)s::bigint) AS done,
               coalesce(max({id}) FILTER (WHERE {id} BETWEEN 1 AND %(highest)s), 0) AS highest
        FROM {table} t
        """
    ).format(id=table.column("t", "id"), table=table.identifier)
    row = conn.execute(query, {"upto": upto, "highest": HIGHEST_ID}).fetchone()
    assert row is not None  # an aggregate is one row
    return Size(row["total"], row["done"], row["highest"])


def users(conn: Connection[DictRow], tables: Tables, *, after: int | None, limit: int) -> list[OldUser]:
    table = tables.user
    query = sql.SQL(
        """
        SELECT {id} AS id, {email} AS email, {password_hash} AS password_hash, {name} AS name,
               {created_at} AS created_at
        FROM {table} u WHERE %(after)s::bigint IS NULL OR {id} > %(after)s ORDER BY {id} LIMIT %(limit)s
        """
    ).format(
        table=table.identifier,
        **{value: table.column("u", value) for value in ("id", "email", "password_hash", "name", "created_at")},
    )
    return [
        OldUser(
            id=row["id"],
            email=_text(row["email"]),
            password_hash=_text(row["password_hash"]),
            name=_text(row["name"]),
            created_at=_time(row["created_at"]),
        )
        for row in conn.execute(query, {"after": after, "limit": limit})
    ]


def tasks(conn: Connection[DictRow], tables: Tables, *, after: int | None, limit: int) -> list[OldTask]:
    task, file = tables.task, tables.file
    query = sql.SQL(
        """
        SELECT {id} AS id, {request_uuid}::text AS request_uuid, {status}::text AS status, {user_id} AS user_id,
               {email} AS email, {client_type}::text AS client_type,
               {photo_bucket} AS photo_bucket, {photo_name} AS photo_name,
               {model_bucket} AS model_bucket, {model_name} AS model_name,
               {skin_color} AS skin_color, {created_at} AS created_at, {updated_at} AS updated_at
        FROM {tasks} t
        LEFT JOIN {users} u ON {its_user} = {user_id}
        LEFT JOIN {files} p ON {its_photo} = {photo_id}
        LEFT JOIN {files} m ON {its_model} = {model_id}
        LEFT JOIN {meshes} s ON {its_mesh} = {mesh_id}
        WHERE %(after)s::bigint IS NULL OR {id} > %(after)s ORDER BY {id} LIMIT %(limit)s
        """
    ).format(
        tasks=task.identifier,
        users=tables.user.identifier,
        files=file.identifier,
        meshes=tables.mesh.identifier,
        **{value: task.column("t", value) for value in ("id", "request_uuid", "status", "user_id", "client_type")},
        **{value: task.column("t", value) for value in ("photo_id", "model_id", "created_at", "updated_at")},
        mesh_id=task.column("t", "mesh_id") if "mesh_id" in task.columns else sql.SQL("NULL::bigint"),
        email=tables.user.column("u", "email"),
        its_user=tables.user.column("u", "id"),
        its_photo=file.column("p", "id"),
        photo_bucket=file.column("p", "bucket"),
        photo_name=file.column("p", "file_name"),
        its_model=file.column("m", "id"),
        model_bucket=file.column("m", "bucket"),
        model_name=file.column("m", "file_name"),
        its_mesh=tables.mesh.column("s", "id"),
        skin_color=tables.mesh.column("s", "skin_color_hex"),
    )
    return [_task(row) for row in conn.execute(query, {"after": after, "limit": limit})]


def _task(row: DictRow) -> OldTask:
    return OldTask(
        id=row["id"],
        request_uuid=_text(row["request_uuid"]),
        status=_text(row["status"]).upper(),
        user_id=row["user_id"],
        email=row["email"],
        client_type=_text(row["client_type"]).upper(),
        photo=_file(row["photo_bucket"], row["photo_name"]),
        model=_file(row["model_bucket"], row["model_name"]),
        skin_color=_text(row["skin_color"]),
        created_at=_time(row["created_at"]),
        updated_at=_time(row["updated_at"]),
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _file(bucket: str | None, name: str | None) -> OldFile | None:
    return OldFile(bucket, name) if bucket and name else None


def _time(value: Any) -> datetime | None:
    """A time without a zone was written by a server that ran in UTC."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
