"""The warm database connection: its transactions, and what it survives."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import psycopg
import pytest

from facet import db
from facet.settings import settings
from tests.conftest import Settings


@pytest.fixture(autouse=True)
def at(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    for name, value in database.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "create_task")
    settings.cache_clear()
    db.close()
    yield database
    with db.transaction() as conn:
        conn.execute("DROP TABLE IF EXISTS notes")
    db.close()
    settings.cache_clear()


@pytest.fixture
def notes() -> None:
    with db.transaction() as conn:
        conn.execute("CREATE TABLE notes (id int PRIMARY KEY)")


def transact(*steps: str | Callable[[db.Connection], object]) -> None:
    with db.transaction() as conn:
        for step in steps:
            conn.execute(step) if isinstance(step, str) else step(conn)


def backend() -> int:
    with db.transaction() as conn:
        return conn.info.backend_pid


def fail(_: db.Connection) -> None:
    raise KeyError


def lose(conn: db.Connection) -> None:
    kill(conn.info.backend_pid)


def insert_again(conn: db.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("INSERT INTO notes VALUES (1)")


def kill(pid: int) -> None:
    with db.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()


def setting(conn: db.Connection, name: str) -> str:
    row = conn.execute("SELECT current_setting(%s) AS value", [name]).fetchone()
    assert row is not None
    return str(row["value"])


def count() -> int:
    with db.transaction() as conn:
        row = conn.execute("SELECT count(*) FROM notes").fetchone()
    assert row is not None
    return int(row["count"])


# ---- Transactions ---------------------------------------------------------------------------------------------------
def test_a_block_that_ends_is_committed(notes: None) -> None:
    transact("INSERT INTO notes VALUES (1)")
    assert count() == 1


def test_a_block_that_raises_is_rolled_back_and_the_connection_stays(notes: None) -> None:
    before = backend()
    with pytest.raises(KeyError):
        transact("INSERT INTO notes VALUES (1)", fail)
    assert (count(), backend()) == (0, before)


def test_a_violated_constraint_stays_what_it_is(notes: None) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        transact("INSERT INTO notes VALUES (1), (1)")
    assert count() == 0


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_conflict_between_transactions_is_worth_repeating(sqlstate: str) -> None:
    with pytest.raises(db.Unavailable, match="in each other's way"):
        transact(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$")


def test_a_swallowed_error_is_not_reported_as_a_commit(notes: None) -> None:
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="nothing is committed"):
        transact("INSERT INTO notes VALUES (1)", insert_again)
    assert count() == 0


def test_a_savepoint_confines_an_error(notes: None) -> None:
    with db.transaction() as conn:
        conn.execute("INSERT INTO notes VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation), conn.transaction():
            conn.execute("INSERT INTO notes VALUES (1)")
        conn.execute("INSERT INTO notes VALUES (2)")
    assert count() == 2


def test_a_transaction_inside_a_transaction_is_refused_and_the_outer_one_goes_on(notes: None) -> None:
    with db.transaction() as conn:
        conn.execute("INSERT INTO notes VALUES (1)")
        with pytest.raises(RuntimeError, match="pass its connection on"), db.transaction():
            pytest.fail("a second transaction was started")
        conn.execute("INSERT INTO notes VALUES (2)")
    assert count() == 2


def test_rows_are_mappings_and_times_are_utc() -> None:
    with db.transaction() as conn:
        row = conn.execute("SELECT '2026-11-22 20:00+02'::timestamptz AS at").fetchone()
    assert row is not None
    assert str(row["at"]) == "2026-11-22 18:00:00+00:00"


def test_no_statement_lock_or_forgotten_transaction_lasts_for_ever() -> None:
    with db.transaction() as conn:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        assert [setting(conn, name) for name in names] == ["10s", "3s", "1min"]


def test_nothing_is_left_set_on_a_server_that_a_pooler_gives_to_others() -> None:
    with db.transaction() as conn:
        conn.execute("SELECT 1")
    warm, _ = db._idle[-1]
    assert setting(warm, "statement_timeout") == "0"
    for _ in range(10):
        with db.transaction() as conn:
            conn.execute("SELECT %s::int", [1])
    assert warm.execute("SELECT * FROM pg_prepared_statements").fetchall() == []


def test_the_server_is_told_which_function_it_serves() -> None:
    with db.transaction() as conn:
        assert setting(conn, "application_name") == "create_task"


def test_threads_of_one_process_have_a_connection_each_and_leave_it_to_the_next() -> None:
    together = threading.Barrier(8)

    def meet(_: int) -> int:
        with db.transaction() as conn:
            together.wait(10)
            return conn.info.backend_pid

    with ThreadPoolExecutor(8) as pool:
        first = set(pool.map(meet, range(8)))
    with ThreadPoolExecutor(8) as pool:
        second = set(pool.map(meet, range(8)))
    assert len(first) == 8
    assert second == first


# ---- The warm connection --------------------------------------------------------------------------------------------
def test_transactions_share_a_connection() -> None:
    assert backend() == backend()


def test_a_connection_that_the_server_closed_while_idle_is_replaced_unnoticed() -> None:
    before = backend()
    kill(before)
    assert backend() != before


def test_a_connection_idle_for_long_is_replaced_without_asking_it() -> None:
    before = backend()
    last_used = db._idle[-1][1]
    with patch("time.time", lambda: last_used + db.MAX_IDLE + 1):
        assert backend() != before


def test_a_connection_lost_inside_a_transaction_is_an_outage_and_the_next_one_works() -> None:
    with pytest.raises(db.Unavailable) as outage:
        transact(lose, "SELECT 1")
    assert isinstance(outage.value.__cause__, psycopg.errors.AdminShutdown)
    assert backend() > 0


def test_a_connection_lost_before_the_commit_is_an_outage(notes: None) -> None:
    with pytest.raises(db.Unavailable):
        transact("INSERT INTO notes VALUES (1)", lose)
    assert count() == 0


def test_the_error_of_a_block_is_not_hidden_by_the_loss_of_its_connection() -> None:
    with pytest.raises(KeyError):
        transact(lose, fail)
    assert backend() > 0


def test_a_statement_that_takes_too_long_is_an_outage_and_the_connection_stays() -> None:
    before = backend()
    with pytest.raises(db.Unavailable, match="in time"):
        transact("SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(5)")
    assert backend() == before


def test_a_lock_that_is_not_given_is_an_outage(notes: None) -> None:
    with db.connect() as other:
        other.execute("LOCK TABLE notes")
        with pytest.raises(db.Unavailable, match="in time"):
            transact("SET LOCAL lock_timeout = '20ms'", "SELECT * FROM notes")
    other.close()


# ---- An absent server -----------------------------------------------------------------------------------------------
def test_an_absent_server_is_a_503_that_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("POSTGRES_PORT", "1")
        settings.cache_clear()
        started = time.monotonic()
        for attempt in (db.connect, backend):
            with pytest.raises(db.Unavailable) as outage:
                attempt()
            assert (outage.value.status, outage.value.code) == (503, "DATABASE_UNAVAILABLE")
            assert int(outage.value.headers["Retry-After"]) > 0
        assert time.monotonic() - started < db.CONNECT_TIMEOUT
    settings.cache_clear()
    assert backend() > 0


def test_a_refused_password_appears_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("POSTGRES_PASSWORD", "wrong-and-secret")
        settings.cache_clear()
        with pytest.raises(db.Unavailable) as outage:
            backend()
    settings.cache_clear()
    texts = [str(outage.value), repr(outage.value), str(outage.value.__cause__)]
    assert not [text for text in texts if "wrong-and-secret" in text]
