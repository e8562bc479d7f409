"""Erasing a user: every row at once, and with the rows the files, which storage gives up when it can be reached."""

from datetime import timedelta

from psycopg import Connection
from psycopg.rows import DictRow

from avatars.owners import Owner
from avatars.refusals import UserGone

LATE_MODEL = timedelta(days=1)  # an agent's URLs have ended by then, so no model without an owner is left behind


def erase(conn: Connection[DictRow], owner: Owner) -> None:
    """Delete the user and all that is theirs, made with a token or with keys. Raises UserGone."""
    row = conn.execute(
        "SELECT id FROM users WHERE id = %s AND disabled_at IS NULL FOR UPDATE", (owner.user_id,)
    ).fetchone()
    if row is None:
        raise UserGone
    _forget_files(conn, _delete_tasks(conn, row["id"]))
    conn.execute("DELETE FROM users WHERE id = %s", (row["id"],))  # keys, sign-ins, uploads: they cascade


def _delete_tasks(conn: Connection[DictRow], user_id: int) -> list[DictRow]:
    """Delete the tasks, remembering them without their owner: agents may still work on some and report."""
    return conn.execute(
        """
        WITH gone AS (
            DELETE FROM tasks
            WHERE user_id = %(user_id)s OR api_key_id IN (SELECT id FROM api_keys WHERE user_id = %(user_id)s)
            RETURNING request_uuid, output_bucket, photo_id, model_id
        ), remembered AS (
            INSERT INTO erased_tasks (request_uuid, output_bucket) SELECT request_uuid, output_bucket FROM gone
            ON CONFLICT (request_uuid) DO NOTHING
        ), late AS (
            INSERT INTO object_deletions (bucket, object_key, due_at)
            SELECT output_bucket, request_uuid || '.glb', now() + %(late)s FROM gone WHERE model_id IS NULL
            ON CONFLICT (bucket, object_key) DO NOTHING
        )
        SELECT photo_id, model_id FROM gone
        """,
        {"user_id": user_id, "late": LATE_MODEL},
    ).fetchall()


def _forget_files(conn: Connection[DictRow], gone: list[DictRow]) -> None:
    """Delete the rows of photos and models. Their objects follow, also when storage is away."""
    ids = {row[name] for row in gone for name in ("photo_id", "model_id")} - {None}
    conn.execute(
        """
        DELETE FROM media_objects m
        WHERE id = ANY(%s) AND NOT EXISTS (SELECT FROM tasks t WHERE t.photo_id = m.id OR t.model_id = m.id)
        """,
        (list(ids),),
    )
