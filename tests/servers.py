"""Ways into the servers of a test run, beside the product's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from local.testing.services import Settings, database, management, named, postgres
from local.testing.services import broker as create_vhost

__all__ = ["create_vhost", "empty_database", "management", "named", "postgres"]


@contextmanager
def empty_database(settings: Settings, name: str) -> Iterator[Settings]:
    """The settings of a database that exists only here."""
    created = {**settings, **database(settings, name)}
    try:
        yield created
    finally:
        with postgres(settings, autocommit=True) as admin:
            # WITH (FORCE) fails where autovacuum is at work: its process is not ours to end. Without it, it gives way.
            end_ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = user"
            admin.execute(end_ours, [name])
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
