"""Deleting tasks with all that belongs to them; what an agent may still write for one is expected and deleted too."""

from collections.abc import Collection
from datetime import timedelta

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, media
from avatars.states import LockedTask

LATE = timedelta(seconds=media.AGENT_URL_SECONDS) + timedelta(hours=1)  # until then an agent may still write a model


def remove(conn: Connection[DictRow], task_ids: Collection[int]) -> int:
    """Delete tasks in whatever state, their announcements and models, and photos no other task has; how many it were.

    Their objects follow by triggers. Locks are taken in one order, tasks before photos and each by id. A photo is
    locked before it is asked who else has it: a retry could take it in between.
    """
    rows = conn.execute(
        "SELECT id, photo_id, model_id FROM tasks WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (list(task_ids),)
    ).fetchall()
    given = {
        "ids": [row["id"] for row in rows],
        "photos": [row["photo_id"] for row in rows],
        "models": [row["model_id"] for row in rows if row["model_id"] is not None],
    }
    _expect_late_reports(conn, given["ids"])
    conn.execute("SELECT FROM media_objects WHERE id = ANY(%(photos)s) ORDER BY id FOR UPDATE", given)
    conn.execute("DELETE FROM tasks WHERE id = ANY(%(ids)s)", given)
    conn.execute(
        """
        DELETE FROM media_objects m WHERE id = ANY(%(models)s)
            OR id = ANY(%(photos)s) AND NOT EXISTS (SELECT FROM tasks WHERE photo_id = m.id)
        """,
        given,
    )
    return len(rows)


def expect_late_model(conn: Connection[DictRow], task: LockedTask) -> None:
    """Of a task that was ended: its agent, if it has one, does not know. The model is deleted when it has come."""
    deletions.add(conn, bucket=task.output_bucket, object_key=media.model_key(task.request_uuid), due_in=LATE)


def _expect_late_reports(conn: Connection[DictRow], task_ids: list[int]) -> None:
    """An agent may still be at work: its report is then known to be no error, and its model goes too."""
    conn.execute(
        f"""
        WITH recent AS (
            SELECT request_uuid, output_bucket, model_id FROM tasks
            WHERE id = ANY(%(ids)s) AND (finished_at IS NULL OR finished_at > now() - %(late)s)
        ), remembered AS (
            INSERT INTO erased_tasks (request_uuid, output_bucket) SELECT request_uuid, output_bucket FROM recent
            ON CONFLICT (request_uuid) DO NOTHING
        )
        INSERT INTO object_deletions (bucket, object_key, due_at)
        SELECT output_bucket, {media.MODEL_KEY_SQL}, now() + %(late)s FROM recent WHERE model_id IS NULL
        ON CONFLICT (bucket, object_key) DO NOTHING
        """,  # noqa: S608  # a constant
        {"ids": task_ids, "late": LATE},
    )
