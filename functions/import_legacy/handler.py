"""Invoked directly (`facet import-legacy`): take over users, tasks and files of the old system, a batch at a time."""

import time
from typing import Annotated, Literal

import psycopg
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from avatars import (
    legacy,
    legacy_preparation,
    legacy_rows,
    legacy_schema,
    legacy_source,
    legacy_tasks,
    legacy_users,
    media,
)
from avatars.legacy import Outcome
from avatars.legacy_rows import OldTask, OldUser, Size
from avatars.owners import Owner
from facet import db, objects
from facet.function import Function
from facet.settings import settings

BATCH_SECONDS = 120  # of the function's 300: the file that is under way may be a slow one

app = Function("import_legacy")


class ImportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    dsn: SecretStr = Field(description="The old database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE.")
    s3_url: SecretStr = Field(description="The old object storage: http://KEY:SECRET@HOST:PORT.")
    after: Annotated[str, StringConstraints(pattern=r"^(users|tasks)(:-?\d{1,18})?$")] = "users"
    limit: int = Field(default=50, ge=1, le=1000, description="How many rows one batch looks at.")
    api_key_id: int | None = Field(default=None, description="The key that gets the tasks of outside systems.")
    adopt_accounts: bool = Field(default=False, description="Who registered here with an old e-mail is that old user.")


class Remark(BaseModel):
    what: Literal["user", "task"]
    id: int = Field(description="In the old system.")
    code: str
    reason: str


class Batch(BaseModel):
    """What one batch did. `cursor` is the next one's `after`, null at the end; `done` and `total` are of the phase."""

    phase: Literal["users", "tasks"]
    done: int
    total: int
    cursor: str | None
    imported: int
    present: int
    skipped: list[Remark]
    changed: list[Remark] = Field(description="Imported, but not as it was.")


@app.internal(body=ImportRequest, returns=Batch)
def import_legacy(body: ImportRequest) -> Batch:
    phase, _, given = body.after.partition(":")
    after = int(given) if given else None
    storage = legacy_source.Storage(body.s3_url.get_secret_value())  # a bad address is told before anything is done
    return _users(body, after) if phase == "users" else _tasks(body, after, storage)


def _users(body: ImportRequest, after: int | None) -> Batch:
    with legacy_source.database(body.dsn.get_secret_value()) as old:
        tables = legacy_schema.find(old)
        size = legacy_rows.size(old, tables.user, after)
        rows = legacy_rows.users(old, tables, after=after, limit=body.limit)
    with db.transaction() as conn:
        legacy.reserve_ids(conn, "users", size.highest)
    deadline, outcomes = time.monotonic() + BATCH_SECONDS, {}
    for row in rows:
        outcomes[row.id] = _take_user(row, adopt=body.adopt_accounts)
        if time.monotonic() > deadline:
            break
    is_last = len(outcomes) < body.limit and len(outcomes) == len(rows)
    return _batch("users", outcomes, size, then="tasks" if is_last else f"users:{max(outcomes)}")


def _tasks(body: ImportRequest, after: int | None, storage: legacy_source.Storage) -> Batch:
    with legacy_source.database(body.dsn.get_secret_value()) as old:
        tables = legacy_schema.find(old)
        size = legacy_rows.size(old, tables.task, after)
        rows = legacy_rows.tasks(old, tables, after=after, limit=body.limit)
    with db.transaction() as conn:
        legacy.reserve_ids(conn, "tasks", size.highest)
        present = legacy_tasks.present(conn, rows)
        owners = legacy_tasks.owners(conn, rows, outside=_outside(conn, body.api_key_id))
    deadline, outcomes = time.monotonic() + BATCH_SECONDS, {}
    for row in rows:
        outcomes[row.id] = legacy.PRESENT if row.id in present else _take_task(row, owners[row.id], storage)
        if time.monotonic() > deadline:
            break
    is_last = len(outcomes) < body.limit and len(outcomes) == len(rows)
    return _batch("tasks", outcomes, size, then=None if is_last else f"tasks:{max(outcomes)}")


def _outside(conn: db.Connection, api_key_id: int | None) -> legacy_tasks.NewOwner | None:
    """Who gets what came without a user. What nobody could ever see here is not taken over."""
    if api_key_id is not None:
        return legacy_tasks.holder_of(conn, api_key_id)
    return legacy_tasks.NOBODY if settings().integrations_auth == "off" else None


def _take_user(row: OldUser, *, adopt: bool) -> Outcome:
    try:
        with db.transaction() as conn:
            return legacy_users.take_over(conn, row, adopt=adopt)
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        return _refused(error)


def _take_task(row: OldTask, owner: Owner | legacy.Note, storage: legacy_source.Storage) -> Outcome:
    if isinstance(owner, legacy.Note):
        return Outcome("skipped", (owner,))
    at = settings()
    task = legacy_preparation.prepare(
        row, owner, storage=storage, images_bucket=at.minio_images_bucket, models_bucket=at.minio_3d_files_bucket
    )
    if isinstance(task, Outcome):
        return task
    with db.transaction() as conn:
        legacy_tasks.announce(conn, task)
    try:
        with db.transaction() as conn:
            return legacy_tasks.store(conn, task, objects=objects)
    except media.AlreadyClaimed:
        return legacy.PRESENT
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        return _refused(error)


def _refused(error: psycopg.Error) -> Outcome:
    """One row that breaks a rule of ours must not hold up the others."""
    return legacy.skipped("ROW_REFUSED", f"it breaks {error.diag.constraint_name or type(error).__name__}")


def _batch(phase: Literal["users", "tasks"], outcomes: dict[int, Outcome], size: Size, *, then: str | None) -> Batch:
    def remarks(state: str) -> list[Remark]:
        return [
            Remark(what="user" if phase == "users" else "task", id=legacy_id, code=note.code, reason=note.reason)
            for legacy_id, outcome in outcomes.items()
            if outcome.state == state
            for note in outcome.notes
        ]

    states = [outcome.state for outcome in outcomes.values()]
    return Batch(
        phase=phase,
        done=size.done + len(outcomes),
        total=size.total,
        cursor=then,
        imported=states.count("imported"),
        present=states.count("present"),
        skipped=remarks("skipped"),
        changed=remarks("imported"),
    )
