"""How many tasks an owner may have open at once."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Any

import psycopg
import pytest

from facet.settings import settings
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def two_at_once(clean: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT_TASKS_IN_FLIGHT", "2")
    settings.cache_clear()


def create(headers: dict[str, str], photo: bytes, *, integrations: bool = False) -> int:
    return api.create(headers, photo, integrations=integrations).status


def test_one_too_many_is_a_429_that_says_when_to_come_again(photo: bytes, sql: Sql) -> None:
    headers = api.person().headers
    assert [create(headers, photo) for _ in range(2)] == [201, 201]
    answer = api.create({**headers, "accept": "application/problem+json"}, photo)
    assert (answer.status, answer.json()["code"]) == (429, "TOO_MANY_TASKS_IN_FLIGHT")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["ratelimit-policy"] == '"in-flight";q=2'
    assert answer.headers["ratelimit"].startswith('"in-flight";r=0')
    assert sql.execute("SELECT count(*), (SELECT count(*) FROM media_objects) FROM tasks").fetchone() == (2, 2)


def test_a_task_that_ended_makes_room(photo: bytes, model: bytes) -> None:
    headers = api.person().headers
    first = api.create(headers, photo).json()["request_uuid"]
    assert [create(headers, photo) for _ in range(2)] == [201, 429]
    api.finish(first, model)
    assert [create(headers, photo) for _ in range(2)] == [201, 429]


def test_a_user_with_all_their_keys_is_one_owner_and_others_are_others(photo: bytes) -> None:
    person, other = api.person(), api.person("eve@example.org")
    keys = [api.new_key(user_email=person.email) for _ in range(2)]
    assert create(person.headers, photo) == 201
    assert [create(key, photo, integrations=True) for key in keys] == [201, 429]
    assert create(person.headers, photo) == 429
    assert create(other.headers, photo) == 201
    loose, another = api.new_key(), api.new_key()
    assert [create(loose, photo, integrations=True) for _ in range(3)] == [201, 201, 429]
    assert create(another, photo, integrations=True) == 201


def test_tasks_in_test_mode_are_counted_apart(photo: bytes) -> None:
    person = api.person()
    key = api.new_key(user_email=person.email, test_mode=True)
    stuck = [api.create(key, photo, integrations=True, metadata={"sandbox": "stuck"}).status for _ in range(3)]
    assert stuck == [201, 201, 429]
    assert create(person.headers, photo) == 201


def test_zero_lets_any_number_be_open(photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT_TASKS_IN_FLIGHT", "0")
    settings.cache_clear()
    headers = api.person().headers
    assert [create(headers, photo) for _ in range(4)] == [201] * 4


def test_a_refused_create_leaves_its_idempotency_key_for_another_time(photo: bytes, model: bytes) -> None:
    headers = api.person().headers
    open_ones = [api.create(headers, photo).json()["request_uuid"] for _ in range(2)]
    keyed = {**headers, "idempotency-key": "k1"}
    assert create(keyed, photo) == 429
    api.finish(open_ones[0], model)
    assert create(keyed, photo) == 201


_together: list[Barrier] = []


def meet_at(barrier: Barrier) -> None:
    api.begin_process()
    _together.append(barrier)


def one_of_many(headers: dict[str, str], photo: bytes) -> int:
    """In a process of its own, warm and started together with the others."""
    assert api.history(headers) == []
    _together[0].wait(60)
    return create(headers, photo)


def test_the_limit_holds_between_processes(photo: bytes) -> None:
    person = api.person()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(8, spawn, initializer=meet_at, initargs=(spawn.Barrier(8),)) as pool:
        statuses = list(pool.map(one_of_many, [person.headers] * 8, [photo] * 8))
    assert sorted(statuses) == [201] * 2 + [429] * 6
    assert len(api.history(person.headers)) == 2
