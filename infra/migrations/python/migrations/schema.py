"""Moves a database to a revision of the schema."""

from collections.abc import Callable
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool


class SchemaError(Exception):
    """The schema cannot be moved; nothing was changed."""


def move(connect: Callable[[], Any], revision: str) -> str | None:
    """Upgrade or downgrade to `revision` ("head", "base", an id, or a step such as "+1" or "-1").

    `connect` opens a psycopg connection. Returns the revision the database is at now, None for an empty one. Safe
    when two do it at once: the second waits for the first. Raises SchemaError.
    """
    config = Config()
    config.set_main_option("script_location", "migrations:")
    script = ScriptDirectory.from_config(config)
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            backwards = _is_before(script, revision, MigrationContext.configure(connection).get_current_revision())
            connection.rollback()
            (command.downgrade if backwards else command.upgrade)(config, revision)
            return MigrationContext.configure(connection).get_current_revision()
    except CommandError as error:
        raise SchemaError(f"{error}. A database that a newer release has moved needs that release") from error
    except DBAPIError as error:
        raise SchemaError(str(error.orig).strip()) from error


def _is_before(script: ScriptDirectory, revision: str, current: str | None) -> bool:
    if revision == "base" or revision.startswith("-"):
        return True
    if revision in ("head", "heads") or revision.startswith("+") or current is None:
        return False
    older = {each.revision for each in script.iterate_revisions(current, "base")}
    return revision != current and revision in older
