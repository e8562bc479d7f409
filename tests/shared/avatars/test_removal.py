"""Deleting tasks: what is theirs goes with them, what others have stays, and late reports are expected."""

from datetime import timedelta
from types import SimpleNamespace

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import media, removal, states, tasks
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together


def succeeded(conn: Connection[DictRow], task: tasks.NewTask) -> None:
    locked = states.lock(conn, task.request_uuid)
    assert locked is not None
    key = f"{task.request_uuid}.glb"
    model = media.claim(
        conn, kind="model", bucket=made.MODELS, object_key=key, content_type="model/gltf-binary", data=b"glTF"
    )
    states.succeed(conn, locked, model_id=model, skin_color_hex=None, vertices=None, triangles=None)


def deletions(conn: Connection[DictRow]) -> dict[str, timedelta]:
    """What is to be deleted, and in how long."""
    rows = conn.execute("SELECT bucket, due_at - now() AS due_in FROM object_deletions").fetchall()
    return {row["bucket"]: row["due_in"] for row in rows}


def test_a_finished_task_goes_with_announcements_photo_and_model(conn: Connection[DictRow]) -> None:
    task, _ = made.task(conn, made.user(conn))
    succeeded(conn, task)
    assert removal.remove(conn, [task.id]) == 1
    left = conn.execute("SELECT FROM tasks UNION ALL SELECT FROM outbox UNION ALL SELECT FROM media_objects")
    assert left.rowcount == 0
    assert {bucket: due_in <= timedelta() for bucket, due_in in deletions(conn).items()} == {
        made.IMAGES: True,
        made.MODELS: True,
    }


def test_the_model_an_agent_may_still_write_for_an_open_task_is_deleted_when_no_agent_can_any_more(
    conn: Connection[DictRow],
) -> None:
    task, _ = made.task(conn, made.user(conn))
    removal.remove(conn, [task.id])
    assert removal.LATE - timedelta(minutes=1) < deletions(conn)[made.MODELS] <= removal.LATE
    assert conn.execute("SELECT request_uuid, output_bucket FROM erased_tasks").fetchall() == [
        {"request_uuid": task.request_uuid, "output_bucket": made.MODELS}
    ]


def test_of_a_task_that_ended_long_ago_nobody_will_report(conn: Connection[DictRow]) -> None:
    task, _ = made.task(conn, made.user(conn))
    conn.execute(
        "UPDATE tasks SET status = 'CANCELLED', finished_at = now() - interval '26 h', revision = revision + 1"
    )
    removal.remove(conn, [task.id])
    assert conn.execute("SELECT FROM erased_tasks").rowcount == 0
    assert set(deletions(conn)) == {made.IMAGES}


def test_a_shared_photo_goes_with_the_last_of_its_tasks(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    task, _ = made.task(conn, user_id)
    [photo] = conn.execute("SELECT photo_id AS id FROM tasks").fetchall()
    owner = SimpleNamespace(user_id=user_id, api_key_id=None)
    again = tasks.create(conn, owner=owner, photo_id=photo["id"], output_bucket=made.MODELS, traceparent=None)
    removal.remove(conn, [task.id])
    assert conn.execute("SELECT id FROM media_objects").fetchall() == [photo]
    removal.remove(conn, [again.id])
    assert conn.execute("SELECT id FROM media_objects").fetchall() == []


def test_both_tasks_of_one_photo_may_go_together(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    task, _ = made.task(conn, user_id)
    [photo] = conn.execute("SELECT photo_id AS id FROM tasks").fetchall()
    owner = SimpleNamespace(user_id=user_id, api_key_id=None)
    again = tasks.create(conn, owner=owner, photo_id=photo["id"], output_bucket=made.MODELS, traceparent=None)
    assert removal.remove(conn, [task.id, again.id]) == 2
    assert conn.execute("SELECT id FROM media_objects").fetchall() == []


def test_of_several_at_once_each_task_is_deleted_by_one(conn: Connection[DictRow], together: Together[int]) -> None:
    user_id = made.user(conn)
    ids = [made.task(conn, user_id)[0].id for _ in range(10)]
    assert sorted(map(str, together(lambda own: removal.remove(own, ids), 3))) == ["0", "0", "10"]


def test_nothing_to_delete_is_fine(conn: Connection[DictRow]) -> None:
    assert removal.remove(conn, []) == 0
    assert removal.remove(conn, [4711]) == 0
