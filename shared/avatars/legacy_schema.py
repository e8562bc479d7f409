"""The old system's tables, found by introspection: under which names they and their columns are understood."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import Connection, sql
from psycopg.rows import DictRow

WHOLE_NUMBERS = frozenset({"smallint", "integer", "bigint"})


class NotUnderstood(Exception):
    """The old database is not as we know it; `str()` names what is missing and what was found instead."""


@dataclass(frozen=True)
class Wanted:
    """The names a table may have and, for every value read of it, the names its column may have; the first counts."""

    tables: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]]


CREATED = ("dt_created", "created_at", "datetime_created", "date_created")
UPDATED = ("dt_updated", "updated_at", "datetime_updated", "date_updated")
WANTED = {
    "user": Wanted(
        tables=("user", "users"),
        columns={"id": ("id", "user_id"), "email": ("email",), "password_hash": ("hashed_password", "password_hash")},
        optional={"name": ("name", "username"), "created_at": CREATED},
    ),
    "task": Wanted(
        tables=("task", "tasks"),
        columns={
            "id": ("id", "task_id"),
            "request_uuid": ("request_uuid", "task_request_uuid"),
            "status": ("status",),
            "user_id": ("user_id",),
            "photo_id": ("input_file_metadata_id", "source_file_metadata_id"),
            "model_id": ("result_file_metadata_id",),
        },
        optional={
            "mesh_id": ("mesh_metadata_id",),
            "client_type": ("client_type", "task_client_type"),
            "created_at": CREATED,
            "updated_at": UPDATED,
        },
    ),
    "file": Wanted(
        tables=("minio_metadata",),
        columns={"id": ("id",), "bucket": ("bucket", "bucket_name"), "file_name": ("file_name", "object_name")},
        optional={},
    ),
    "mesh": Wanted(
        tables=("mesh_metadata",),
        columns={"id": ("id",), "skin_color_hex": ("skin_color_hex",)},
        optional={},
    ),
}


@dataclass(frozen=True)
class Table:
    """A table that was found. `columns` has no entry for what this old system never stored."""

    identifier: sql.Identifier
    columns: Mapping[str, str]

    def column(self, alias: str, value: str) -> sql.Composable:
        """The column that holds a value, or NULL."""
        return sql.Identifier(alias, self.columns[value]) if value in self.columns else sql.SQL("NULL")


@dataclass(frozen=True)
class Tables:
    user: Table
    task: Table
    file: Table
    mesh: Table


def find(conn: Connection[DictRow]) -> Tables:
    """Look through the search path of the connection. Raises NotUnderstood."""
    rows = conn.execute(
        """
        SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = ANY (current_schemas(false)) ORDER BY table_name, ordinal_position
        """
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    schemas: dict[str, str] = {}
    for row in rows:
        schemas.setdefault(row["table_name"], row["table_schema"])
        if row["table_schema"] == schemas[row["table_name"]]:
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
    return Tables(**{what: _table(wanted, found, schemas) for what, wanted in WANTED.items()})


def _table(wanted: Wanted, found: Mapping[str, Mapping[str, str]], schemas: Mapping[str, str]) -> Table:
    name = next((name for name in wanted.tables if name in found), None)
    if name is None:
        raise NotUnderstood(
            f"The old database shows this user no table {_either(wanted.tables)} in its search path. "
            f"Found: {', '.join(found) or 'no tables at all'}."
        )
    types = found[name]
    columns = {}
    for value, names in {**wanted.columns, **wanted.optional}.items():
        column = next((column for column in names if column in types), None)
        if column is not None:
            columns[value] = column
        elif value in wanted.columns:
            raise NotUnderstood(f"The old table {name} has no column {_either(names)}. Found: {', '.join(types)}.")
    if types[columns["id"]] not in WHOLE_NUMBERS:
        raise NotUnderstood(f"The old column {name}.{columns['id']} is {types[columns['id']]}, not a whole number.")
    return Table(sql.Identifier(schemas[name], name), columns)


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)
