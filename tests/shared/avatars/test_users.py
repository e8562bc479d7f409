"""Users: one per e-mail, however many try at once."""

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import credentials, users
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
    assert credentials.find_account(conn, "nobody@example.org") == credentials.Account(None, None, None)
    for rounds in ("04", "12", "10"):
        email = f"{rounds}@example.org"
        users.register(conn, name="Ada", email=email, password_hash=f"$2b${rounds}$" + "x" * 53)
    assert credentials.find_account(conn, "nobody@example.org").legacy_rounds == 12
    assert credentials.find_account(conn, "ada@example.org").legacy_rounds == 12


def test_a_new_hash_does_not_overwrite_a_password_changed_meanwhile(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    conn.execute("UPDATE users SET password_hash = 'changed'")
    credentials.replace_outdated_hash(conn, credentials.Authenticated(user_id, "outdated", "rehashed"))
    assert conn.execute("SELECT password_hash FROM users").fetchone() == {"password_hash": "changed"}


@pytest.mark.parametrize(
    "written", ["a@xn--bcher-kva.example.org", "a@b\u00fccher.example.org", "A@B\u00dcCHER.example\u3002org"]
)
def test_an_international_domain_is_found_however_it_is_written(written: str) -> None:
    assert users.findable_email(written) == users.deliverable_email(written) == "a@b\u00fccher.example.org"


def test_a_text_that_is_no_address_is_looked_for_as_it_is() -> None:
    assert users.findable_email("Nobody@xn--\u3002") == users.canonical_email("Nobody@xn--\u3002")
