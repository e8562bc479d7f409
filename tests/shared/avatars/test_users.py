"""Users: one per e-mail, however many try at once."""

from collections.abc import Iterator
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import credentials, users
from avatars.refusals import UserGone
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together


def test_of_several_registrations_at_once_one_succeeds(together: Together[int], conn: Connection[DictRow]) -> None:
    outcomes = together(lambda own: made.user(own), 6)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EmailTaken"] * 5 + ["int"]
    assert conn.execute("SELECT count(*) FROM users").fetchone() == {"count": 1}


@pytest.mark.parametrize("written", ["Ada@Example.org", " ada@example.org ", "\uff41da@example.org", "ADA@EXAMPLE.ORG"])
def test_a_spelling_is_canonical_once_and_for_all(written: str) -> None:
    once = users.canonical_email(written)
    assert once == users.canonical_email(once) == "ada@example.org"


def test_an_account_of_the_old_system_is_found_by_the_case_it_was_stored_in(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn, "Ada@Example.org")
    assert credentials.find_account(conn, "ada@example.org").user_id == user_id


def test_refusals_know_the_dearest_hash_of_the_old_system(conn: Connection[DictRow]) -> None:
    made.user(conn)
    assert credentials.find_account(conn, "nobody@example.org") == credentials.Account(None, None, None, None)
    for rounds in ("04", "12", "10"):
        email = f"{rounds}@example.org"
        users.register(conn, name="Ada", email=email, password_hash=f"$2b${rounds}$" + "x" * 53)
    assert credentials.find_account(conn, "nobody@example.org").legacy_rounds == 12
    assert credentials.find_account(conn, "ada@example.org").legacy_rounds == 12


def test_of_several_spellings_at_once_one_is_registered(together: Together[int], conn: Connection[DictRow]) -> None:
    spellings = iter(["ada@example.org", "Ada@example.org", "ADA@EXAMPLE.ORG", "aDa@example.org"])
    outcomes = together(lambda own: made.user(own, next(spellings)), 4)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EmailTaken"] * 3 + ["int"]
    assert conn.execute("SELECT count(*) FROM users").fetchone() == {"count": 1}


def emails(conn: Connection[DictRow]) -> list[str]:
    return [row["email"] for row in conn.execute("SELECT email FROM users ORDER BY id").fetchall()]


def test_of_two_who_want_the_same_email_at_once_one_gets_it(
    together: Together[None], conn: Connection[DictRow]
) -> None:
    both = iter([made.user(conn, "ada@example.org"), made.user(conn, "grace@example.org")])
    outcomes = together(lambda own: users.change(own, next(both), name=None, email="New@example.org"), 2)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EmailTaken", "NoneType"]
    assert emails(conn).count("New@example.org") == 1


def test_two_who_swap_their_emails_at_once_are_both_refused(
    together: Together[None], conn: Connection[DictRow]
) -> None:
    wanted = {
        made.user(conn, "ada@example.org"): "GRACE@example.org",
        made.user(conn, "grace@example.org"): "ada@example.org",
    }
    for _ in range(5):
        both = iter(wanted.items())

        def swap(own: Connection[DictRow], both: Iterator[tuple[int, str]] = both) -> None:
            user_id, email = next(both)
            users.change(own, user_id, name=None, email=email)

        outcomes = together(swap, 2)
        assert [type(outcome).__name__ for outcome in outcomes] == ["EmailTaken"] * 2
    assert emails(conn) == ["ada@example.org", "grace@example.org"]


def test_an_email_may_be_written_in_another_case_by_its_owner(conn: Connection[DictRow]) -> None:
    users.change(conn, made.user(conn), name="Ada King", email="ADA@example.org")
    assert emails(conn) == ["ADA@example.org"]


@pytest.mark.parametrize("end", ["DELETE FROM users", "UPDATE users SET disabled_at = now()"])
def test_nothing_is_changed_of_who_is_gone(conn: Connection[DictRow], end: LiteralString) -> None:
    user_id = made.user(conn)
    conn.execute(end)
    with pytest.raises(UserGone):
        users.change(conn, user_id, name="Ada King", email=None)


@pytest.mark.parametrize(
    "written", ["a@xn--bcher-kva.example.org", "a@b\u00fccher.example.org", "A@B\u00dcCHER.example\u3002org"]
)
def test_an_international_domain_is_found_however_it_is_written(written: str) -> None:
    assert users.findable_email(written) == users.deliverable_email(written) == "a@b\u00fccher.example.org"


def test_a_text_that_is_no_address_is_looked_for_as_it_is() -> None:
    assert users.findable_email("Nobody@xn--\u3002") == users.canonical_email("Nobody@xn--\u3002")
