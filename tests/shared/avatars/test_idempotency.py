"""Idempotency keys when one request comes once, again, and fifty times at once."""

import hashlib
import uuid
from types import SimpleNamespace

import pytest
from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import ValidationError

from avatars import idempotency
from avatars.idempotency import IdempotencyHeaders, KeyInFlight, KeyReused, Ticket
from avatars.owners import Owner
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together

BODY, OTHER_BODY = (hashlib.sha256(body).digest() for body in (b"photo", b"another photo"))
NOBODY = SimpleNamespace(user_id=None, api_key_id=None)


def begin(
    conn: Connection[DictRow],
    owner: Owner = NOBODY,
    *,
    operation: str = "create_task",
    key: str | None = "k1",
    fingerprint: bytes = BODY,
) -> Ticket:
    return idempotency.begin(conn, owner=owner, operation=operation, key=key, fingerprint=fingerprint)


def let_the_lock_run_out(conn: Connection[DictRow]) -> None:
    conn.execute("UPDATE idempotency_keys SET locked_until = now() - interval '1 second'")


def test_a_key_that_made_something_gives_it_again(conn: Connection[DictRow]) -> None:
    first, task = begin(conn), uuid.uuid4()
    assert first.made is None
    idempotency.complete(conn, first, task)
    assert begin(conn).made == task


def test_without_a_key_everything_is_new(conn: Connection[DictRow]) -> None:
    for _ in range(2):
        ticket = begin(conn, key=None)
        idempotency.complete(conn, ticket, uuid.uuid4())
        idempotency.abandon(conn, ticket)
        assert (ticket.id, ticket.made) == (None, None)


def test_another_request_with_the_same_key_is_refused_before_and_after_the_first_has_made_something(
    conn: Connection[DictRow],
) -> None:
    first = begin(conn)
    with pytest.raises(KeyReused):
        begin(conn, fingerprint=OTHER_BODY)
    idempotency.complete(conn, first, uuid.uuid4())
    with pytest.raises(KeyReused):
        begin(conn, fingerprint=OTHER_BODY)


def test_while_the_first_is_under_way_the_second_is_told_to_wait(conn: Connection[DictRow]) -> None:
    begin(conn)
    with pytest.raises(KeyInFlight) as refused:
        begin(conn)
    assert refused.value.headers == {"Retry-After": "1"}


def test_a_key_that_was_given_up_may_be_used_again_for_anything(conn: Connection[DictRow]) -> None:
    idempotency.abandon(conn, begin(conn))
    assert begin(conn, fingerprint=OTHER_BODY).made is None


def test_a_key_that_made_something_cannot_be_given_up(conn: Connection[DictRow]) -> None:
    first, task = begin(conn), uuid.uuid4()
    idempotency.complete(conn, first, task)
    idempotency.abandon(conn, first)
    assert begin(conn).made == task


def test_keys_are_the_owners_and_the_operations_own(conn: Connection[DictRow]) -> None:
    ada, eve = (SimpleNamespace(user_id=made.user(conn, f"{name}@example.org"), api_key_id=None) for name in "ae")
    tickets = [begin(conn), begin(conn, ada), begin(conn, eve), begin(conn, ada, operation="retry_task")]
    assert len({ticket.id for ticket in tickets}) == 4
    with pytest.raises(KeyInFlight):
        begin(conn, ada)


def test_a_lock_that_ran_out_is_taken_over_by_one_and_its_first_holder_makes_nothing(
    conn: Connection[DictRow], together: Together[Ticket]
) -> None:
    dead = begin(conn)
    let_the_lock_run_out(conn)
    outcomes = together(begin, 50)
    [successor] = [outcome for outcome in outcomes if isinstance(outcome, Ticket)]
    assert [type(outcome) for outcome in outcomes if outcome != successor] == [KeyInFlight] * 49
    with pytest.raises(KeyInFlight):
        idempotency.complete(conn, dead, uuid.uuid4())
    idempotency.abandon(conn, dead)
    idempotency.complete(conn, successor, uuid.uuid4())


def test_a_lock_that_ran_out_is_not_taken_over_for_another_request(conn: Connection[DictRow]) -> None:
    begin(conn)
    let_the_lock_run_out(conn)
    with pytest.raises(KeyReused):
        begin(conn, fingerprint=OTHER_BODY)


def test_of_fifty_at_once_one_begins_and_the_others_are_told_to_wait(
    conn: Connection[DictRow], together: Together[Ticket]
) -> None:
    outcomes = together(begin, 50)
    assert sum(isinstance(outcome, Ticket) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, KeyInFlight) for outcome in outcomes) == 49
    assert [row["made"] for row in conn.execute("SELECT made FROM idempotency_keys")] == [None]


def test_fifty_at_once_that_begin_and_complete_in_one_transaction_all_get_what_the_first_made(
    together: Together[uuid.UUID],
) -> None:
    def create(own: Connection[DictRow]) -> uuid.UUID:
        ticket = begin(own)
        if ticket.made is None:
            ticket = Ticket(ticket.id, uuid.uuid4(), ticket.locked_until)
            assert ticket.made is not None
            idempotency.complete(own, ticket, ticket.made)
        assert ticket.made is not None
        return ticket.made

    outcomes = together(create, 50)
    assert isinstance(outcomes[0], uuid.UUID)
    assert outcomes == [outcomes[0]] * 50


def test_a_begin_that_finds_a_key_being_given_up_begins_anew(
    conn: Connection[DictRow], together: Together[Ticket]
) -> None:
    def come_and_go(own: Connection[DictRow]) -> Ticket:
        ticket = begin(own)
        idempotency.abandon(own, ticket)
        return ticket

    outcomes = together(come_and_go, 20)
    assert all(isinstance(outcome, Ticket) for outcome in outcomes)
    assert conn.execute("SELECT id FROM idempotency_keys").fetchall() == []


@pytest.mark.parametrize("key", ["", "x" * 256, "snowman ☃", "line\nbreak", "bell\a"])
def test_a_key_is_1_to_255_printable_characters(key: str) -> None:
    with pytest.raises(ValidationError):
        IdempotencyHeaders.model_validate({"idempotency-key": key})


def test_a_key_may_be_anything_printable_and_may_be_left_out() -> None:
    assert IdempotencyHeaders.model_validate({"idempotency-key": '"a quoted key"'}).idempotency_key == '"a quoted key"'
    assert IdempotencyHeaders.model_validate({}).idempotency_key is None
