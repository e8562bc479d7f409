"""Test mode: tasks that end as `metadata.sandbox` asks and that no agent ever sees."""

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, LiteralString

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import media, octahedron, states
from avatars.owners import Owner
from avatars.refusals import Refusal, UserGone
from avatars.states import LockedTask

OUTCOME = re.compile(
    r"success|stuck|(?P<ending>invalid_input|failed):(?P<code>[A-Z_]{1,64})|slow:(?P<seconds>[1-9][0-9]{0,3})"
)
LONGEST = 3600
ENDINGS: Mapping[str, Literal["INVALID_INPUT", "FAILED"]] = {"invalid_input": "INVALID_INPUT", "failed": "FAILED"}
MESSAGE = "asked for by metadata.sandbox"

# Of `tasks t`. The time is that of the statement: whoever waits for a task has begun the transaction long before.
IS_DUE: LiteralString = "t.sandbox_due_at <= clock_timestamp()"
PROGRESS: LiteralString = """
    floor(99 * extract(epoch FROM clock_timestamp() - t.created_at)
        / extract(epoch FROM t.sandbox_due_at - t.created_at))::int
"""
GOES_ON: LiteralString = f"t.test_mode AND t.finished_at IS NULL AND ({IS_DUE} OR {PROGRESS} > t.progress)"


class OutcomeUnknown(Refusal):
    """In test mode `metadata.sandbox` asks how the task ends. It is `success`, `invalid_input:CODE`, `failed:CODE`
    (CODE of 1 to 64 characters A-Z and _), `stuck` or `slow:SECONDS` (1 to 3600); without it the task succeeds."""

    status = 422
    code = "SANDBOX_OUTCOME_UNKNOWN"
    title = (
        "metadata.sandbox is success, invalid_input:CODE, failed:CODE, stuck or slow:SECONDS, "
        f"with CODE of A-Z and _ and SECONDS from 1 to {LONGEST}"
    )
    errors: Sequence[dict[str, Any]] = (
        {"type": "sandbox_outcome_unknown", "loc": ["body", "metadata", "sandbox"], "msg": title},
    )


@dataclass(frozen=True)
class Outcome:
    """How a task in test mode ends. `text` is what was asked for."""

    text: str
    ending: str = "success"
    code: str | None = None
    seconds: int | None = None

    @property
    def has_model(self) -> bool:
        return self.text == "success" or self.seconds is not None

    @property
    def due_in(self) -> timedelta | None:
        return None if self.seconds is None else timedelta(seconds=self.seconds)


def outcome_of(conn: Connection[DictRow], *, owner: Owner, metadata: Mapping[str, Any]) -> Outcome | None:
    """How a new task of this owner is to end; None in live mode, where `sandbox` is metadata like any other.

    Raises UserGone or OutcomeUnknown.
    """
    row = conn.execute(
        """
        SELECT (SELECT test_mode FROM users WHERE id = %(user_id)s AND disabled_at IS NULL) AS of_user,
               (SELECT test_mode FROM api_keys WHERE id = %(api_key_id)s) AS of_key
        """,
        {"user_id": owner.user_id, "api_key_id": owner.api_key_id},
    ).fetchone()
    assert row is not None  # a SELECT of two values is one row
    if owner.user_id is not None and row["of_user"] is None:
        raise UserGone
    return _parse(metadata.get("sandbox", "success")) if row["of_user"] or row["of_key"] else None


def start(conn: Connection[DictRow], request_uuid: uuid.UUID, outcome: Outcome) -> None:
    """Let a new task go as far as it comes at once, in the transaction that makes it. Its model is put already."""
    task = states.lock(conn, request_uuid)
    assert task is not None  # made in this transaction
    states.mark_published(conn, task.id)
    if outcome.seconds is not None:
        states.advance(conn, task, progress=0, stage=None)
    elif outcome.code is not None:
        states.fail(conn, task, status=ENDINGS[outcome.ending], code=outcome.code, message=MESSAGE)
    elif outcome.text == "success":
        _succeed(conn, task)


def settle(conn: Connection[DictRow], task_id: int) -> None:
    """Bring a task in test mode to where it must be by now: to its progress, or when due to its end.

    Nothing happens to any other task, nor the second time.
    """
    row = conn.execute(
        f"""
        SELECT t.request_uuid, {IS_DUE} AS is_due, {PROGRESS} AS progress FROM tasks t
        WHERE t.id = %s AND t.test_mode AND t.finished_at IS NULL AND t.sandbox_due_at IS NOT NULL FOR UPDATE
        """,  # noqa: S608  # LiteralStrings alone
        (task_id,),
    ).fetchone()
    task = None if row is None else states.lock(conn, row["request_uuid"])
    if row is None or task is None:
        return
    if row["is_due"]:
        _finish(conn, task)
    elif row["progress"] > task.progress:
        states.advance(conn, task, progress=row["progress"], stage=None)


def settle_due(conn: Connection[DictRow], limit: int) -> int:
    """Settle tasks whose time has come and that nobody has read since; how many it were."""
    due = conn.execute(
        """
        SELECT id FROM tasks WHERE finished_at IS NULL AND sandbox_due_at <= now()
        ORDER BY sandbox_due_at LIMIT %s FOR UPDATE SKIP LOCKED
        """,
        (limit,),
    ).fetchall()
    for row in due:
        settle(conn, row["id"])
    return len(due)


def _parse(asked: object) -> Outcome:
    found = OUTCOME.fullmatch(asked) if isinstance(asked, str) else None
    if found is None:
        raise OutcomeUnknown
    seconds = None if found["seconds"] is None else int(found["seconds"])
    if seconds is not None and seconds > LONGEST:
        raise OutcomeUnknown
    return Outcome(found[0], found["ending"] or "success", found["code"], seconds)


def _finish(conn: Connection[DictRow], task: LockedTask) -> None:
    """Its model waits in storage, noted for deletion until it is claimed; after a long standstill it may be gone."""
    waiting = conn.execute(
        "SELECT FROM object_deletions WHERE bucket = %s AND object_key = %s FOR UPDATE",
        (task.output_bucket, media.model_key(task.request_uuid)),
    ).fetchone()
    try:
        if waiting is not None:
            return _succeed(conn, task)
    except media.AlreadyClaimed:  # an agent guessed its name
        pass
    states.fail(conn, task, status="FAILED", code="RESULT_MISSING", message="its model is gone")


def _succeed(conn: Connection[DictRow], task: LockedTask) -> None:
    model_id = media.claim(
        conn,
        kind="model",
        bucket=task.output_bucket,
        object_key=media.model_key(task.request_uuid),
        content_type=media.MODEL_TYPE,
        data=octahedron.glb(),
    )
    states.succeed(
        conn,
        task,
        model_id=model_id,
        skin_color_hex=octahedron.SKIN_COLOR_HEX,
        vertices=octahedron.VERTICES,
        triangles=octahedron.TRIANGLES,
    )
