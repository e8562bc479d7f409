"""Tasks that nobody works on any more: given to agents again, or ended.

Where time decides, what will be due in the time `ahead` counts as due.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import media, removal, states
from avatars.refusals import Refusal
from avatars.states import LockedTask, TaskFinished
from avatars.tasks import TaskNotFound

BEGINNINGS = 3  # so many agents may begin a task and fall silent
URL_RESERVE = timedelta(hours=1)  # a message is announced anew so long before its URLs run out

# Rows that somebody has locked are skipped: a report is just coming in, or another reaper is at it.
GIVE_AGAIN = """
    WITH chosen AS (
        SELECT id FROM tasks WHERE {which} ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ), again AS (
        UPDATE tasks t SET
            status = 'INITIAL', stage = NULL, attempt = attempt + 1, lost = lost + %(lost)s, revision = revision + 1
        FROM chosen WHERE t.id = chosen.id RETURNING t.id, t.attempt
    )
    INSERT INTO outbox (task_id, attempt) SELECT id, attempt FROM again
"""
END = """
    WITH chosen AS (
        SELECT id FROM tasks WHERE {which} ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ), ended AS (
        UPDATE tasks t SET
            status = 'FAILED', failure_code = %(code)s, failure_message = %(message)s,
            lost = lost + %(lost)s, finished_at = now(), revision = revision + 1
        FROM chosen WHERE t.id = chosen.id RETURNING t.request_uuid, t.output_bucket
    )
    INSERT INTO object_deletions (bucket, object_key, due_at)
    SELECT output_bucket, {model_key}, now() + %(late)s FROM ended
    ON CONFLICT (bucket, object_key) DO UPDATE SET due_at = least(object_deletions.due_at, excluded.due_at)
"""
OPEN = "status IN ('INITIAL', 'PENDING', 'IN_PROGRESS')"
SILENT = "status = 'IN_PROGRESS' AND last_message_at < now() - %(age)s AND NOT test_mode"


class TaskInTestMode(Refusal):
    status = 409
    code = "TASK_IN_TEST_MODE"
    title = "The task is in test mode, so no agent ever gets it"


@dataclass(frozen=True)
class Attempt:
    """`number` is what the next message about the task carries."""

    request_uuid: uuid.UUID
    number: int


def give_lost_again(
    conn: Connection[DictRow], *, silence: timedelta, limit: int, ahead: timedelta = timedelta()
) -> int:
    """Begun tasks whose agent has been silent this long go to another. How many it were; at most `limit`."""
    return _give_again(conn, f"{SILENT} AND lost + 1 < {BEGINNINGS}", age=silence - ahead, lost=1, limit=limit)


def end_lost(conn: Connection[DictRow], *, silence: timedelta, limit: int, ahead: timedelta = timedelta()) -> int:
    """Tasks that every agent so far began and left end as AGENT_LOST. How many it were; at most `limit`."""
    words = f"{BEGINNINGS} agents began it and fell silent"
    return _end(
        conn,
        f"{SILENT} AND lost + 1 >= {BEGINNINGS}",
        code="AGENT_LOST",
        message=words,
        age=silence - ahead,
        lost=1,
        limit=limit,
    )


def renew(conn: Connection[DictRow], *, limit: int, ahead: timedelta = timedelta()) -> int:
    """Announce waiting tasks again whose message's URLs run out soon. Age alone is no reason: the broker has them."""
    age = timedelta(seconds=media.AGENT_URL_SECONDS) - URL_RESERVE
    waiting = "status = 'PENDING' AND published_at < now() - %(age)s AND NOT test_mode"
    return _give_again(conn, waiting, age=age - ahead, lost=0, limit=limit)


def end_overdue(conn: Connection[DictRow], *, deadline: timedelta, limit: int, ahead: timedelta = timedelta()) -> int:
    """Tasks open longer than this end as DEADLINE_EXCEEDED, whatever holds them up."""
    words = f"it was not finished within {deadline / timedelta(hours=1):g} hours"
    return _end(
        conn, f"{OPEN} AND created_at < now() - %(age)s",
        code="DEADLINE_EXCEEDED", message=words, age=deadline - ahead, lost=0, limit=limit,
    )  # fmt: skip


def requeue(conn: Connection[DictRow], request_uuid: uuid.UUID) -> Attempt:
    """Announce one open task again, whatever state it is in. Raises TaskNotFound, TaskFinished or TaskInTestMode."""
    task = _open(conn, request_uuid)
    if task.test_mode:
        raise TaskInTestMode
    _give_again(conn, "id = %(id)s", id=task.id, lost=0, limit=1)
    return Attempt(request_uuid, task.attempt + 1)


def fail(conn: Connection[DictRow], request_uuid: uuid.UUID, *, code: str, message: str | None) -> None:
    """End one open task as FAILED. Raises TaskNotFound or TaskFinished."""
    task = _open(conn, request_uuid)
    states.fail(conn, task, status="FAILED", code=code, message=message, by_agent=False)
    removal.expect_late_model(conn, task)


def _open(conn: Connection[DictRow], request_uuid: uuid.UUID) -> LockedTask:
    task = states.lock(conn, request_uuid)
    if task is None:
        raise TaskNotFound(request_uuid)
    if task.is_finished:
        raise TaskFinished(
            f"The task {request_uuid} has ended as {task.status}, for good. Its owner may `retry` it: "
            f"POST /3d-model-generation/tasks/{request_uuid}/retry makes a new task of the same photo."
        )
    return task


def _give_again(conn: Connection[DictRow], which: LiteralString, **given: object) -> int:
    return conn.execute(GIVE_AGAIN.format(which=which), given).rowcount


def _end(conn: Connection[DictRow], which: LiteralString, **given: object) -> int:
    """Their agents may be alive after all and still write a model."""
    query = END.format(which=which, model_key=media.MODEL_KEY_SQL)
    return conn.execute(query, {**given, "late": removal.LATE}).rowcount
