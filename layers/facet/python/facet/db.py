"""A warm PostgreSQL connection: opened lazily, replaced when it died while the process was frozen.

A process that answers several requests at once has as many as it had transactions at the same time.
"""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, TupleRow, dict_row

from facet import tracing
from facet.cursor import Cursor
from facet.problems import Problem
from facet.settings import settings

Connection: TypeAlias = psycopg.Connection[DictRow]

CONNECT_TIMEOUT = 5  # seconds
MAX_IDLE = 300  # seconds; a NAT gateway forgets an idle flow after 350 and tells nobody

# SET LOCAL, in the same round trip: a transaction pooler may give every transaction another server.
BEGIN = """
    BEGIN;
    SET LOCAL statement_timeout = '10s';
    SET LOCAL lock_timeout = '3s';
    SET LOCAL idle_in_transaction_session_timeout = '60s';
    SET LOCAL timezone = 'UTC'
"""

_SYSTEM = {"db.system.name": "postgresql"}


class _Busy(threading.local):
    """Whether this thread is in a transaction."""

    now = False


_idle: deque[tuple[Connection, float]] = deque()  # with the time of its last use
_busy = _Busy()


class Unavailable(Problem):
    """The database cannot be reached or does not answer in time. Repeat after `Retry-After`; it may have been done."""

    status, code, title = 503, "DATABASE_UNAVAILABLE", "The database is unavailable"
    headers: Mapping[str, str] = {"Retry-After": "5"}


@contextmanager
def transaction() -> Iterator[Connection]:
    """Yield a connection inside a transaction that is committed at the end and rolled back on any exception.

    A lost or overdue database raises Unavailable, and so do a deadlock and a serialization failure: nothing happened,
    and the same again may well succeed. Violated constraints stay what psycopg calls them.
    """
    if _busy.now:
        raise RuntimeError("a transaction is open already: pass its connection on instead of starting another")
    with tracing.span("transaction", "internal", _SYSTEM):
        conn = _begin()
        _busy.now = True
        try:
            yield conn
            _commit(conn)
        except psycopg.Error as error:
            if _is_outage(error, conn):
                raise _unavailable(error) from error
            raise
        finally:
            _busy.now = False
            _roll_back(conn)
            if not conn.closed:
                _idle.append((conn, time.time()))


def connect() -> psycopg.Connection[TupleRow]:
    """Open a connection for a tool that manages its own transactions; the caller closes it."""
    try:
        return psycopg.connect(**_parameters())
    except psycopg.OperationalError as error:
        raise _unavailable(error) from error


def close() -> None:
    """Close the warm connections; the next transaction opens another."""
    with suppress(IndexError):
        while True:
            _idle.pop()[0].close()


atexit.register(close)


def _begin() -> Connection:
    """Start a transaction. BEGIN is also the check of a warm connection: nothing is done yet, so it can be repeated."""
    with suppress(IndexError):
        while True:
            warm, last_used = _idle.pop()
            if time.time() - last_used < MAX_IDLE:
                with suppress(psycopg.OperationalError):
                    warm.execute(BEGIN)
                    return warm
            warm.close()
    fresh: Connection | None = None
    try:
        with tracing.span("CONNECT", "client", _SYSTEM):
            fresh = psycopg.connect(**_parameters(), autocommit=True, row_factory=dict_row, cursor_factory=Cursor)
        fresh.execute(BEGIN)
    except psycopg.OperationalError as error:
        if fresh is not None:
            fresh.close()
        raise _unavailable(error) from error
    return fresh


def _commit(conn: Connection) -> None:
    if conn.info.transaction_status is TransactionStatus.INERROR:  # COMMIT would roll back and report success
        raise psycopg.errors.InFailedSqlTransaction(
            "a statement failed and its error was swallowed: nothing is committed"
        )
    with tracing.span("COMMIT", "client", _SYSTEM):
        conn.commit()


def _roll_back(conn: Connection) -> None:
    """Leave no transaction open; does nothing after a commit."""
    if conn.info.transaction_status is TransactionStatus.IDLE:
        return
    with suppress(psycopg.Error), tracing.span("ROLLBACK", "client", _SYSTEM):
        conn.rollback()
        return
    conn.close()


def _is_outage(error: psycopg.Error, conn: Connection) -> bool:
    return conn.closed or isinstance(error, psycopg.OperationalError)


def _unavailable(error: psycopg.Error) -> Unavailable:
    if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.LockNotAvailable):
        return Unavailable("The database does not answer in time.")
    if (error.sqlstate or "").startswith("40"):
        return Unavailable("Two requests were in each other's way.")
    return Unavailable("The database cannot be reached.")


def _parameters() -> dict[str, Any]:
    at = settings()
    return {
        "host": at.postgres_host,
        "port": at.postgres_port,
        "user": at.postgres_user,
        "password": at.postgres_password.get_secret_value(),
        "dbname": at.postgres_db,
        "sslmode": at.postgres_sslmode,
        "application_name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "facet"),
        "connect_timeout": CONNECT_TIMEOUT,
        # A peer that vanished without a word is noticed in seconds, while sending and while waiting for an answer.
        "tcp_user_timeout": 3000,  # milliseconds
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "prepare_threshold": None,  # a transaction pooler does not keep prepared statements
    }
