"""Results when the same message, or two that claim one file, are handled at once."""

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import removal, results, states
from avatars.contracts import Rejected, Report, ResultFile, TaskProgress, TaskResult
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together

DOCUMENT = json.dumps({"asset": {"version": "2.0"}}).encode()
GLB = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(DOCUMENT), len(DOCUMENT), b"JSON") + DOCUMENT


NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Stored:
    size: int = len(GLB)
    last_modified: datetime = NEVER


class Bucket:
    """Every object in it is a model."""

    NotFound = KeyError
    Unreadable = PermissionError

    def head(self, bucket: str, key: str) -> Stored:
        return Stored()

    def read(self, bucket: str, key: str, *, limit: int) -> bytes:
        return GLB


def settle(conn: Connection[DictRow], report: Report, objects: results.Objects | None = None) -> None:
    """On one connection, each transaction of it inside the caller's if there is one."""

    @contextmanager
    def transaction() -> Iterator[Connection[DictRow]]:
        with conn.transaction():
            yield conn

    results.settle(transaction, report, objects=objects or Bucket())


@pytest.fixture
def tasks(conn: Connection[DictRow]) -> list[TaskResult]:
    """The results of two tasks, by a name that either may claim."""
    user_id = made.user(conn)
    ids = [made.task(conn, user_id)[0].request_uuid for _ in range(2)]
    file = ResultFile(bucket=made.MODELS, file_name="head.glb")
    return [TaskResult(request_uuid=request_uuid, minio_metadata=file) for request_uuid in ids]


def test_one_message_handled_by_several_at_once_counts_once(
    conn: Connection[DictRow], tasks: list[TaskResult], together: Together[None]
) -> None:
    assert together(lambda own: settle(own, tasks[0]), 5) == [None] * 5
    assert conn.execute("SELECT status, revision FROM tasks ORDER BY id").fetchone() == {
        "status": "SUCCESS",
        "revision": 2,
    }
    assert conn.execute("SELECT count(*) FROM media_objects WHERE kind = 'model'").fetchone() == {"count": 1}


def test_two_tasks_that_claim_one_file_at_once_do_not_share_it(
    conn: Connection[DictRow], tasks: list[TaskResult], together: Together[None]
) -> None:
    waiting = list(tasks)
    outcomes = together(lambda own: settle(own, waiting.pop()), 2)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ForeignResult", "NoneType"]
    assert conn.execute("SELECT count(*) FROM tasks WHERE status = 'SUCCESS'").fetchone() == {"count": 1}


def test_progress_of_many_at_once_ends_at_the_highest(
    conn: Connection[DictRow], tasks: list[TaskResult], together: Together[None]
) -> None:
    steps = list(range(10, 90, 10))

    def report(own: Connection[DictRow]) -> None:
        step = TaskProgress(request_uuid=tasks[0].request_uuid, status="IN_PROGRESS", progress=steps.pop())
        settle(own, step)

    assert together(report, 8) == [None] * 8
    assert conn.execute("SELECT max(progress) AS progress FROM tasks").fetchone() == {"progress": 80}


def test_a_guarded_update_leaves_a_finished_task_alone(conn: Connection[DictRow], tasks: list[TaskResult]) -> None:
    """Even for a caller that did not look."""
    task = states.lock(conn, tasks[0].request_uuid)
    assert task is not None
    states.fail(conn, task, status="FAILED", code="AGENT_ERROR", message=None)
    before = conn.execute("SELECT * FROM tasks").fetchall()
    states.fail(conn, task, status="INVALID_INPUT", code="NO_FACE", message="late")
    states.advance(conn, task, progress=99, stage="late")
    assert conn.execute("SELECT * FROM tasks").fetchall() == before


def test_a_rejected_message_changes_nothing(conn: Connection[DictRow], tasks: list[TaskResult]) -> None:
    before = conn.execute("SELECT * FROM tasks").fetchall()
    foreign = tasks[0].model_copy(update={"minio_metadata": ResultFile(bucket="other", file_name="head.glb")})
    with pytest.raises(Rejected):
        settle(conn, foreign)
    assert conn.execute("SELECT * FROM tasks").fetchall() == before


class Locked(Bucket):
    """Its objects are there and cannot be read."""

    def read(self, bucket: str, key: str, *, limit: int) -> bytes:
        raise PermissionError("encrypted for somebody else")


def test_a_model_that_the_storage_does_not_hand_out_is_invalid(
    conn: Connection[DictRow], tasks: list[TaskResult]
) -> None:
    settle(conn, tasks[0], Locked())
    assert conn.execute("SELECT status, failure_code FROM tasks ORDER BY id").fetchone() == {
        "status": "FAILED",
        "failure_code": "RESULT_INVALID",
    }


class Slow(Bucket):
    """Something happens while a model is read from it."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile

    def read(self, bucket: str, key: str, *, limit: int) -> bytes:
        self.meanwhile()
        return GLB


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_a_task_can_be_ended_while_its_model_is_read_and_the_model_goes(
    conn: Connection[DictRow], connect: Callable[[], Connection[DictRow]], tasks: list[TaskResult], how: str
) -> None:
    name = f"{tasks[0].request_uuid}.glb"
    result = tasks[0].model_copy(update={"minio_metadata": ResultFile(bucket=made.MODELS, file_name=name)})

    def end() -> None:
        other = connect()
        other.execute("SET lock_timeout = '1s'")
        with other.transaction():
            task = states.lock(other, result.request_uuid)
            assert task is not None
            if how == "cancel":
                states.cancel(other, task)
            else:
                removal.remove(other, [task.id])

    settle(conn, result, Slow(end))
    assert conn.execute("SELECT FROM tasks WHERE model_id IS NOT NULL OR status = 'SUCCESS'").fetchall() == []
    due = conn.execute(
        "SELECT object_key FROM object_deletions WHERE bucket = %s AND due_at <= now()", (made.MODELS,)
    ).fetchall()
    assert due == [{"object_key": name}]
