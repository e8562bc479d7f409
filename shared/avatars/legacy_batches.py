"""Batches of the old system's rows: read a page, then take over one row after the other while there is time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import legacy, legacy_preparation, legacy_rows, legacy_schema, legacy_source, legacy_tasks, legacy_users
from avatars.idempotency import Transaction
from avatars.legacy import Note, Outcome
from avatars.legacy_rows import OldTask, OldUser, Size
from avatars.legacy_tasks import NewOwner
from avatars.media import AlreadyClaimed
from avatars.owners import Owner

BATCH_SECONDS = 120  # of the function's 300: the file that is under way may be a slow one

Old = TypeVar("Old", OldUser, OldTask)


class Places(Protocol):
    """Where files go here, and whether outside systems need a key."""

    @property
    def minio_images_bucket(self) -> str: ...
    @property
    def minio_3d_files_bucket(self) -> str: ...
    @property
    def integrations_auth(self) -> str: ...


@dataclass(frozen=True)
class Page:
    """Which rows a batch looks at: up to `limit` of those with a higher id."""

    after: int | None
    limit: int


@dataclass(frozen=True)
class Batch:
    """How rows fared, by their old ids, and how many the table has. `is_last`: none are left."""

    outcomes: dict[int, Outcome]
    size: Size
    is_last: bool


def users(transaction: Transaction, dsn: str, page: Page, *, adopt: bool) -> Batch:
    with legacy_source.database(dsn) as old:
        tables = legacy_schema.find(old)
        size = legacy_rows.size(old, tables.user, page.after)
        rows = legacy_rows.users(old, tables, after=page.after, limit=page.limit)
    with transaction() as conn:
        legacy.reserve_ids(conn, "users", size.highest)
    return _batch(rows, size, page, lambda row: _user(transaction, row, adopt=adopt))


def tasks(
    transaction: Transaction,
    dsn: str,
    page: Page,
    *,
    api_key_id: int | None,
    storage: legacy_preparation.Storage,
    objects: legacy_tasks.Objects,
    at: Places,
) -> Batch:
    """Raises ApiKeyUnknown."""
    with legacy_source.database(dsn) as old:
        tables = legacy_schema.find(old)
        size = legacy_rows.size(old, tables.task, page.after)
        rows = legacy_rows.tasks(old, tables, after=page.after, limit=page.limit)
    with transaction() as conn:
        legacy.reserve_ids(conn, "tasks", size.highest)
        present = legacy_tasks.present(conn, rows)
        owners = legacy_tasks.owners(conn, rows, outside=_outside(conn, api_key_id, at))

    def take(row: OldTask) -> Outcome:
        if row.id in present:
            return legacy.PRESENT
        return _task(transaction, row, owners[row.id], storage=storage, objects=objects, at=at)

    return _batch(rows, size, page, take)


def _batch(rows: Sequence[Old], size: Size, page: Page, take: Callable[[Old], Outcome]) -> Batch:
    deadline, outcomes = time.monotonic() + BATCH_SECONDS, {}
    for row in rows:
        outcomes[row.id] = _unless_refused(take, row)
        if time.monotonic() > deadline:
            break
    return Batch(outcomes, size, is_last=len(outcomes) < page.limit and len(outcomes) == len(rows))


def _unless_refused(take: Callable[[Old], Outcome], row: Old) -> Outcome:
    """One row that breaks a rule of ours must not hold up the others."""
    try:
        return take(row)
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        return legacy.skipped("ROW_REFUSED", f"it breaks {error.diag.constraint_name or type(error).__name__}")


def _outside(conn: Connection[DictRow], api_key_id: int | None, at: Places) -> NewOwner | None:
    """Who gets what came without a user. What nobody could ever see here is not taken over."""
    if api_key_id is not None:
        return legacy_tasks.holder_of(conn, api_key_id)
    return legacy_tasks.NOBODY if at.integrations_auth == "off" else None


def _user(transaction: Transaction, row: OldUser, *, adopt: bool) -> Outcome:
    with transaction() as conn:
        return legacy_users.take_over(conn, row, adopt=adopt)


def _task(
    transaction: Transaction,
    row: OldTask,
    owner: Owner | Note,
    *,
    storage: legacy_preparation.Storage,
    objects: legacy_tasks.Objects,
    at: Places,
) -> Outcome:
    if isinstance(owner, Note):
        return Outcome("skipped", (owner,))
    task = legacy_preparation.prepare(
        row, owner, storage=storage, images_bucket=at.minio_images_bucket, models_bucket=at.minio_3d_files_bucket
    )
    if isinstance(task, Outcome):
        return task
    with transaction() as conn:
        legacy_tasks.announce(conn, task)
    legacy_tasks.put(task, objects=objects)
    try:
        with transaction() as conn:
            return legacy_tasks.store(conn, task)
    except AlreadyClaimed:
        return legacy.PRESENT
