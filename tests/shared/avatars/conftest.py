"""Connections for tests of what several do at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import TypeVar

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import DictRow, dict_row

from tests.conftest import Settings

T = TypeVar("T")
Together = Callable[[Callable[[Connection[DictRow]], T], int], list[T | Exception]]


@pytest.fixture
def connect(clean: Settings) -> Iterator[Callable[[], Connection[DictRow]]]:
    with ExitStack() as opened:
        yield lambda: opened.enter_context(
            psycopg.connect(
                host=clean["POSTGRES_HOST"],
                port=clean["POSTGRES_PORT"],
                user=clean["POSTGRES_USER"],
                password=clean["POSTGRES_PASSWORD"],
                dbname=clean["POSTGRES_DB"],
                autocommit=True,
                row_factory=dict_row,
            )
        )


@pytest.fixture
def conn(connect: Callable[[], Connection[DictRow]]) -> Connection[DictRow]:
    """Commits every statement by itself."""
    return connect()


@pytest.fixture
def together(connect: Callable[[], Connection[DictRow]]) -> Together[T]:
    """Does one thing several times at once, each in a transaction of its own; gives what came of each."""

    def run(action: Callable[[Connection[DictRow]], T], times: int) -> list[T | Exception]:
        connections, start = [connect() for _ in range(times)], Barrier(times)

        def one(own: Connection[DictRow]) -> T | Exception:
            start.wait(10)
            try:
                with own.transaction():
                    return action(own)
            except Exception as error:
                return error

        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(one, connections))

    return run
