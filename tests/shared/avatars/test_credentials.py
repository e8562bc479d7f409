"""Who is admitted after the password was checked, while others change it."""

from collections.abc import Callable
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import credentials
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together


def proof(user_id: int, rehashed: str | None = None) -> credentials.Authenticated:
    return credentials.Authenticated(user_id, password_version=1, rehashed=rehashed)


def stored_hash(conn: Connection[DictRow]) -> str:
    row = conn.execute("SELECT password_hash FROM users").fetchone()
    assert row is not None
    return str(row["password_hash"])


def test_who_knew_the_password_is_admitted_and_an_outdated_hash_replaced(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    assert credentials.admit(conn, proof(user_id))
    assert credentials.admit(conn, proof(user_id, "rehashed"))
    assert stored_hash(conn) == "rehashed"


def test_all_who_bring_a_new_hash_at_once_are_admitted(together: Together[bool], conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    assert together(lambda own: credentials.admit(own, proof(user_id, "rehashed")), 4) == [True] * 4


def test_who_knew_the_password_before_the_last_is_refused(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    credentials.set_password(conn, user_id, "changed")
    assert not credentials.admit(conn, proof(user_id, "rehashed"))
    assert stored_hash(conn) == "changed"


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
def test_who_is_gone_since_is_refused(conn: Connection[DictRow], end: LiteralString) -> None:
    user_id = made.user(conn)
    conn.execute(end)
    assert not credentials.admit(conn, proof(user_id))


def test_of_several_changes_of_one_password_at_once_one_is_made(
    together: Together[bool], conn: Connection[DictRow]
) -> None:
    user_id = made.user(conn)

    def change(own: Connection[DictRow]) -> bool:
        is_admitted = credentials.admit(own, proof(user_id))
        if is_admitted:
            credentials.set_password(own, user_id, "changed")
        return is_admitted

    assert sorted(map(bool, together(change, 4))) == [False, False, False, True]


def test_a_sign_in_waits_for_a_change_that_is_under_way(
    conn: Connection[DictRow], connect: Callable[[], Connection[DictRow]], together: Together[bool]
) -> None:
    user_id, changing = made.user(conn), connect()
    with changing.transaction():
        assert credentials.admit(changing, proof(user_id))
        credentials.set_password(changing, user_id, "changed")
        conn.execute("SET lock_timeout = '100ms'")
        with pytest.raises(Exception, match="lock timeout"):
            credentials.admit(conn, proof(user_id))
    assert not credentials.admit(conn, proof(user_id))
