"""Settling tasks in test mode: once, by whoever comes first, and only what is due."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, media, octahedron, sandbox, tasks
from avatars.refusals import UserGone
from avatars.tasks import NewTask
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together


def somebody(conn: Connection[DictRow], email: str = "ada@example.org") -> SimpleNamespace:
    user_id = made.user(conn, email)
    conn.execute("UPDATE users SET test_mode = true WHERE id = %s", (user_id,))
    return SimpleNamespace(user_id=user_id, api_key_id=None)


def slow(conn: Connection[DictRow], seconds: int = 60) -> NewTask:
    """A task that is due in so many seconds, its model put and noted."""
    owner = somebody(conn, f"{uuid.uuid4()}@example.org")
    outcome = sandbox.outcome_of(conn, owner=owner, metadata={"sandbox": f"slow:{seconds}"})
    assert outcome is not None
    key = f"{uuid.uuid4()}.jpg"
    photo = media.claim(conn, kind="photo", bucket=made.IMAGES, object_key=key, content_type="image/jpeg", data=b"x")
    task = tasks.create(conn, owner=owner, photo_id=photo, output_bucket=made.MODELS, traceparent=None, outcome=outcome)
    deletions.add(conn, bucket=made.MODELS, object_key=media.model_key(task.request_uuid), due_in=timedelta(days=1))
    sandbox.start(conn, task.request_uuid, outcome)
    return task


def make_due(conn: Connection[DictRow]) -> None:
    conn.execute("UPDATE tasks SET sandbox_due_at = now() - interval '1 second'")


def row(conn: Connection[DictRow], task: NewTask) -> Mapping[str, object]:
    found = conn.execute("SELECT * FROM tasks WHERE id = %s", (task.id,)).fetchone()
    assert found is not None
    return found


def test_before_it_is_due_a_task_does_not_end(conn: Connection[DictRow]) -> None:
    task = slow(conn, 3600)
    sandbox.settle(conn, task.id)
    assert (row(conn, task)["status"], row(conn, task)["revision"]) == ("IN_PROGRESS", 3)


def test_of_several_that_settle_at_once_one_does_and_the_model_is_claimed_once(
    conn: Connection[DictRow], together: Together[None]
) -> None:
    task = slow(conn)
    make_due(conn)
    assert together(lambda own: sandbox.settle(own, task.id), 10) == [None] * 10
    done = row(conn, task)
    assert (done["status"], done["revision"], done["skin_color_hex"]) == ("SUCCESS", 4, octahedron.SKIN_COLOR_HEX)
    [model] = conn.execute("SELECT * FROM media_objects WHERE kind = 'model'").fetchall()
    assert (model["id"], model["sha256"].hex()) == (done["model_id"], octahedron.SHA256)


def test_settling_again_or_something_else_changes_nothing(conn: Connection[DictRow]) -> None:
    live, _ = made.task(conn, made.user(conn))
    ended = slow(conn)
    make_due_again = "UPDATE tasks SET sandbox_due_at = now() - interval '1 second' WHERE id = %s"
    conn.execute(make_due_again, (ended.id,))
    sandbox.settle(conn, ended.id)
    before = [row(conn, live), row(conn, ended)]
    for task_id in (live.id, ended.id, 0):
        sandbox.settle(conn, task_id)
    assert [row(conn, live), row(conn, ended)] == before


def test_those_that_are_due_are_settled_a_batch_at_a_time(conn: Connection[DictRow]) -> None:
    due = [slow(conn) for _ in range(3)]
    make_due(conn)
    later = slow(conn)
    assert [sandbox.settle_due(conn, 2), sandbox.settle_due(conn, 2), sandbox.settle_due(conn, 2)] == [2, 1, 0]
    assert {row(conn, task)["status"] for task in due} == {"SUCCESS"}
    assert row(conn, later)["status"] == "IN_PROGRESS"


def test_a_task_whose_model_was_swept_away_or_taken_fails(conn: Connection[DictRow]) -> None:
    swept, taken = slow(conn), slow(conn)
    for task, loss in ((swept, "sweep"), (taken, "claim")):
        key = media.model_key(task.request_uuid)
        if loss == "sweep":
            conn.execute("DELETE FROM object_deletions WHERE object_key = %s", (key,))
        else:
            media.claim(conn, kind="model", bucket=made.MODELS, object_key=key, content_type="x", data=b"x")
    make_due(conn)
    sandbox.settle_due(conn, 9)
    assert [row(conn, task)["failure_code"] for task in (swept, taken)] == ["RESULT_MISSING"] * 2


@pytest.mark.parametrize("text", ["success", "stuck", "slow:1", "slow:3600", "failed:X", f"invalid_input:{'X' * 64}"])
def test_every_documented_end_is_understood(conn: Connection[DictRow], text: str) -> None:
    outcome = sandbox.outcome_of(conn, owner=somebody(conn), metadata={"sandbox": text})
    assert outcome is not None
    assert outcome.text == text


def test_nobody_in_particular_is_in_live_mode(conn: Connection[DictRow]) -> None:
    nobody = SimpleNamespace(user_id=None, api_key_id=None)
    assert sandbox.outcome_of(conn, owner=nobody, metadata={"sandbox": "whatever"}) is None


def test_a_user_erased_or_disabled_meanwhile_is_refused(conn: Connection[DictRow]) -> None:
    owner = somebody(conn)
    conn.execute("UPDATE users SET disabled_at = now()")
    for gone in (owner, SimpleNamespace(user_id=4711, api_key_id=None)):
        with pytest.raises(UserGone):
            sandbox.outcome_of(conn, owner=gone, metadata={})
