"""Cancelling and deleting a task while its agent reports, its photo is taken again and others cancel and delete it."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import outbox, purging, reaping, results, retries, states, tasks, withdrawal
from avatars.contracts import ResultFile, TaskResult
from avatars.owners import Owner
from avatars.tasks import NewTask
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together
from tests.shared.avatars.test_results import settle

ROUNDS = 12


class Sender:
    """A broker and a bucket of emotions that are always there."""

    rabbitmq_tasks_queue = "tasks"
    minio_deca_emotions_bucket = "emotions"

    def publish(self, **message: object) -> None: ...

    def list_keys(self, bucket: str) -> list[str]:
        return []

    def presign_get(self, bucket: str, key: str, **how: object) -> str:
        return key


class Scene:
    """One task of one user, and everything that may happen to it."""

    def __init__(self, conn: Connection[DictRow], owner: Owner) -> None:
        assert owner.user_id is not None
        self.owner = owner
        self.task: NewTask
        self.task, self.entry = made.task(conn, owner.user_id)
        self.name = str(self.task.request_uuid)

    def cancel(self, conn: Connection[DictRow]) -> None:
        withdrawal.cancel(conn, owner=self.owner, request_uuid=self.name)

    def delete(self, conn: Connection[DictRow]) -> None:
        withdrawal.delete(conn, owner=self.owner, request_uuid=self.name)

    def report(self, conn: Connection[DictRow]) -> None:
        file = ResultFile(bucket=made.MODELS, file_name=f"{self.name}.glb")
        settle(conn, TaskResult(request_uuid=self.task.request_uuid, minio_metadata=file))

    def announce(self, conn: Connection[DictRow]) -> None:
        sender = Sender()
        outbox.send(conn, self.entry, to=sender, broker=sender, objects=sender)

    def retry(self, conn: Connection[DictRow]) -> None:
        old = retries.find(conn, owner=self.owner, request_uuid=self.name)
        photo = retries.hold(conn, owner=self.owner, task=old)
        tasks.create(conn, owner=self.owner, photo_id=photo, output_bucket=made.MODELS, traceparent=None)

    def requeue(self, conn: Connection[DictRow]) -> None:
        reaping.requeue(conn, self.task.request_uuid)

    def end_overdue(self, conn: Connection[DictRow]) -> None:
        reaping.end_overdue(conn, deadline=timedelta(), limit=10)

    def purge(self, conn: Connection[DictRow]) -> None:
        purging.finished_tasks(conn, days=0, limit=10)


ACTIONS = (
    Scene.cancel, Scene.delete, Scene.delete, Scene.report, Scene.announce, Scene.retry, Scene.retry, Scene.requeue,
    Scene.end_overdue, Scene.purge,
)  # fmt: skip
REFUSED = (
    tasks.TaskNotFound, states.TaskFinished, retries.TaskNotRetryable,
    results.UnknownTask,
)  # fmt: skip


@pytest.fixture
def owner(conn: Connection[DictRow]) -> Owner:
    return SimpleNamespace(user_id=made.user(conn), api_key_id=None)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_whatever_happens_to_a_task_at_once_ends_and_leaves_no_orphan(
    conn: Connection[DictRow], owner: Owner, together: Together[None], seed: int
) -> None:
    scene = Scene(conn, owner)
    if seed % 2:
        scene.cancel(conn)
    actions = random.Random(seed).sample(ACTIONS, len(ACTIONS))
    outcomes = together(lambda own: actions.pop()(scene, own), len(ACTIONS))
    assert None in outcomes
    for outcome in outcomes:
        assert outcome is None or isinstance(outcome, REFUSED), repr(outcome)
    assert_nothing_is_orphaned(conn, scene)


def assert_nothing_is_orphaned(conn: Connection[DictRow], scene: Scene) -> None:
    """Every file has a task, or is expected and about to be deleted."""
    unused = conn.execute(
        """
        SELECT object_key FROM media_objects m
        WHERE NOT EXISTS (SELECT FROM tasks t WHERE m.id IN (t.photo_id, t.model_id))
        """
    ).fetchall()
    assert unused == []
    is_open = conn.execute(
        "SELECT FROM tasks WHERE request_uuid = %s AND finished_at IS NULL", (scene.task.request_uuid,)
    )
    model = conn.execute(
        """
        SELECT bucket, object_key FROM media_objects WHERE object_key = %(key)s
        UNION ALL SELECT bucket, object_key FROM object_deletions WHERE object_key = %(key)s
        """,
        {"key": f"{scene.name}.glb"},
    )
    assert is_open.rowcount or model.rowcount


def test_of_two_who_delete_a_task_at_once_one_finds_nothing(
    conn: Connection[DictRow], owner: Owner, together: Together[None]
) -> None:
    scene = Scene(conn, owner)
    outcomes = together(scene.delete, 4)
    assert Counter(type(outcome) for outcome in outcomes) == {type(None): 1, tasks.TaskNotFound: 3}
    assert conn.execute("SELECT object_key FROM object_deletions WHERE bucket = %s", (made.IMAGES,)).rowcount == 1


def test_of_many_who_cancel_a_task_at_once_all_are_told_that_it_is(
    conn: Connection[DictRow], owner: Owner, together: Together[None]
) -> None:
    scene = Scene(conn, owner)
    assert together(scene.cancel, 5) == [None] * 5
    assert conn.execute("SELECT status, revision FROM tasks").fetchall() == [{"status": "CANCELLED", "revision": 2}]


def test_a_photo_that_is_just_being_taken_again_stays(
    conn: Connection[DictRow], owner: Owner, connect: Callable[[], Connection[DictRow]]
) -> None:
    scene, other = Scene(conn, owner), connect()
    scene.cancel(conn)
    other.execute("BEGIN")
    scene.retry(other)
    conn.execute("SET lock_timeout = '200ms'")
    with pytest.raises(Exception, match="lock timeout"), conn.transaction():
        scene.delete(conn)
    other.execute("COMMIT")
    conn.execute("SET lock_timeout = '5s'")
    with conn.transaction():
        scene.delete(conn)
    assert conn.execute("SELECT FROM media_objects").rowcount == 1
    assert conn.execute("SELECT FROM tasks JOIN media_objects m ON m.id = photo_id").rowcount == 1


def test_a_task_that_is_gone_when_its_row_is_to_be_locked_is_not_found(
    conn: Connection[DictRow], owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(conn, owner)
    read = partial(tasks.whole, conn, owner=owner, request_uuid=scene.name)()
    scene.delete(conn)
    monkeypatch.setattr(tasks, "whole", lambda *given, **named: read)
    for action in (scene.cancel, scene.delete):
        with pytest.raises(tasks.TaskNotFound):
            action(conn)
