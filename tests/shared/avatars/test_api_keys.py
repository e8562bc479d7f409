"""API keys: so many per user, however many are asked for at once."""

import pytest
from psycopg import Connection
from psycopg.errors import CheckViolation
from psycopg.rows import DictRow

from avatars import api_keys
from avatars.api_keys import NewApiKey
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together


def make(conn: Connection[DictRow], user_id: int | None) -> NewApiKey:
    return api_keys.create(conn, name="booth", user_id=user_id, lifetime=None)


def test_of_several_at_once_no_more_are_made_than_may_be(
    conn: Connection[DictRow], together: Together[NewApiKey]
) -> None:
    user_id = made.user(conn)
    for _ in range(api_keys.MOST_LIVE_KEYS - 2):
        make(conn, user_id)
    outcomes = together(lambda own: make(own, user_id), 6)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NewApiKey"] * 2 + ["TooManyApiKeys"] * 4
    assert conn.execute("SELECT count(*) FROM api_keys").fetchone() == {"count": api_keys.MOST_LIVE_KEYS}


def test_outside_systems_may_have_any_number(conn: Connection[DictRow]) -> None:
    keys = {make(conn, None).key for _ in range(api_keys.MOST_LIVE_KEYS + 1)}
    assert len(keys) == api_keys.MOST_LIVE_KEYS + 1


def test_a_key_says_whose_it_is_and_what_it_may_do(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    key = api_keys.create(conn, name="booth", user_id=user_id, lifetime=None, scopes=["tasks:read"])
    assert api_keys.verify(conn, key.key) == api_keys.KeyHolder(user_id, key.id, ["tasks:read"])
    assert api_keys.verify(conn, key.key + "\udcff") is None
    assert api_keys.verify(conn, "") is None


@pytest.mark.parametrize("scopes", ["{}", "{users:write}", "{tasks:read,users:write}"])
def test_no_row_holds_scopes_that_mean_nothing(conn: Connection[DictRow], scopes: str) -> None:
    key = make(conn, None)
    with pytest.raises(CheckViolation):
        conn.execute("UPDATE api_keys SET scopes = %s::text[] WHERE id = %s", (scopes, key.id))
