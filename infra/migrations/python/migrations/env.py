"""How Alembic runs the revisions: in one transaction, one migrator at a time, on the connection of its caller."""

from alembic import context
from sqlalchemy import Connection, text

LOCK = 4_071_935_214_660_733_953  # any constant that no other program uses on this database
LOCK_TIMEOUT = "5s"


def run_online(connection: Connection) -> None:
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        # Only after the wait for our turn: DDL that queues behind a long query stops everyone who comes after it.
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        context.configure(connection=connection)
        context.run_migrations()


def print_sql() -> None:
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    print_sql()
elif (connection := context.config.attributes.get("connection")) is not None:
    run_online(connection)
else:
    raise SystemExit("A database is changed with `facet migrate`. To read the SQL instead, add --sql.")
