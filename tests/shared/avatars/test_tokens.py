"""Refresh tokens when several present them at once."""

from dataclasses import dataclass

import pytest
from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import SecretStr

from avatars import tokens
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together


@dataclass(frozen=True)
class Terms:
    refresh_secret_key: SecretStr
    refresh_token_expire_minutes: int = 60


TERMS = Terms(SecretStr("k" * 32))


@pytest.fixture
def token(conn: Connection[DictRow]) -> str:
    return tokens.open_family(conn, user_id=made.user(conn), terms=TERMS)


def rotated(conn: Connection[DictRow], token: str) -> str:
    with conn.transaction():
        rotation = tokens.rotate(conn, token, terms=TERMS)
    assert rotation is not None
    return rotation.refresh_token


def test_all_who_come_at_once_get_the_same_successor(
    token: str, conn: Connection[DictRow], together: Together[tokens.Rotation | None]
) -> None:
    outcomes = together(lambda own: tokens.rotate(own, token, terms=TERMS), 6)
    given = {outcome.refresh_token for outcome in outcomes if isinstance(outcome, tokens.Rotation)}
    assert len(outcomes) == 6
    assert len(given) == 1
    assert conn.execute("SELECT count(*) FROM refresh_tokens").fetchone() == {"count": 2}
    rotated(conn, given.pop())


def test_a_thief_and_the_owner_at_once_lose_the_session(
    token: str, conn: Connection[DictRow], together: Together[tokens.Rotation | None]
) -> None:
    latest = rotated(conn, rotated(conn, token))
    assert together(lambda own: tokens.rotate(own, token, terms=TERMS), 4) == [None] * 4
    assert tokens.rotate(conn, latest, terms=TERMS) is None


def test_a_successor_cannot_be_made_without_the_key(token: str, conn: Connection[DictRow]) -> None:
    other = Terms(SecretStr("o" * 32))
    family = tokens.open_family(conn, user_id=made.user(conn, "eve@example.org"), terms=other)
    assert family != token
    successors = {rotated(conn, token), tokens.rotate(conn, family, terms=other)}
    assert len(successors) == 2


def test_every_sign_in_has_a_family_of_its_own(token: str, conn: Connection[DictRow]) -> None:
    elsewhere = tokens.open_family(conn, user_id=made.user(conn, "eve@example.org"), terms=TERMS)
    assert len({token, elsewhere, rotated(conn, token), rotated(conn, elsewhere)}) == 4
    assert all(len(each) == 43 for each in (token, elsewhere))


def is_usable(conn: Connection[DictRow], token: str) -> bool:
    with conn.transaction():
        return tokens.rotate(conn, token, terms=TERMS) is not None


def test_of_an_end_everywhere_and_refreshes_at_once_nothing_is_left_open(
    token: str, conn: Connection[DictRow], together: Together[bool | None]
) -> None:
    [user_id] = [row["user_id"] for row in conn.execute("SELECT user_id FROM refresh_families").fetchall()]
    others = [tokens.open_family(conn, user_id=user_id, terms=TERMS) for _ in range(3)]
    turns = iter(range(8))

    def act(own: Connection[DictRow]) -> bool | None:
        turn = next(turns)
        if turn % 2:
            return tokens.end_everywhere(own, others[turn % 3])
        tokens.rotate(own, token, terms=TERMS)
        return None

    outcomes = together(act, 8)
    assert outcomes.count(True) == 1
    assert outcomes.count(None) == 4
    assert conn.execute("SELECT FROM refresh_families WHERE revoked_at IS NULL").rowcount == 0


def test_ending_one_session_leaves_the_others(token: str, conn: Connection[DictRow]) -> None:
    [user_id] = [row["user_id"] for row in conn.execute("SELECT user_id FROM refresh_families").fetchall()]
    other = tokens.open_family(conn, user_id=user_id, terms=TERMS)
    tokens.end_session(conn, token)
    tokens.end_session(conn, "unknown")
    assert not is_usable(conn, token)
    assert is_usable(conn, other)


def test_the_families_of_others_stay_when_one_user_ends_all(token: str, conn: Connection[DictRow]) -> None:
    eve = tokens.open_family(conn, user_id=made.user(conn, "eve@example.org"), terms=TERMS)
    with conn.transaction():
        assert tokens.end_everywhere(conn, eve)
    assert is_usable(conn, token)
