"""Erasing a user: every row at once, and with the rows the files, which storage gives up when it can be reached."""

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import removal, uploads
from avatars.owners import Owner
from avatars.refusals import UserGone


def erase(conn: Connection[DictRow], owner: Owner) -> None:
    """Delete the user and all that is theirs, made with a token or with keys. Raises UserGone.

    The user's row comes first: who is about to make something for this user waits, and then finds nobody.
    """
    user = conn.execute(
        "SELECT id FROM users WHERE id = %s AND disabled_at IS NULL FOR UPDATE", (owner.user_id,)
    ).fetchone()
    if user is None:
        raise UserGone
    tasks = conn.execute(
        """
        SELECT id FROM tasks
        WHERE user_id = %(id)s OR api_key_id IN (SELECT id FROM api_keys WHERE user_id = %(id)s)
        """,
        user,
    ).fetchall()
    removal.remove(conn, [task["id"] for task in tasks])
    uploads.clear_of_user(conn, user["id"])
    conn.execute("DELETE FROM users WHERE id = %(id)s", user)  # keys, sign-ins, uploads: they cascade
