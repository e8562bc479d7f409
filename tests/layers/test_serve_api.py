"""The product's own functions, all in one served process, with real servers behind them."""

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from avatars.waiting import LOCKS
from tests.conftest import Settings
from tests.layers.serving import PATIENCE, ROOT, Served, running, started, until
from tests.media import photo
from tests.servers import postgres

PATHS = (".", "layers/facet/python", "shared", "infra/migrations/python")
THREADS = 4


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / path) for path in PATHS)
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "HOST": "127.0.0.1", "PORT": "0"}
    return {**settings, **own, "FACET_THREADS": str(THREADS)}


@pytest.fixture
def served(clean: Settings, tmp_path: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "facet.serve"]
    with running(ROOT, command, environment_of(clean), tmp_path / "log", until_it_says='"serving"') as served:
        yield served


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """A client of somebody who has signed in."""
    with httpx.Client(base_url=f"{served.url}/api/v1", timeout=PATIENCE, trust_env=False) as http:
        person = {"name": "Ada", "email": "ada@example.org", "password": "correct horse battery staple"}
        assert http.post("/users/registration", json=person).status_code == 201
        tokens = http.post("/users/authorization", json={name: person[name] for name in ("email", "password")})
        http.headers["access-token"] = tokens.json()["access_token"]
        yield http


def made(http: httpx.Client) -> str:
    answer = http.post("/3d-model-generation/tasks", files={"task_source_file": ("me.jpg", photo())})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["request_uuid"])


def places_taken(settings: Settings) -> int:
    """How many wait for news in this database."""
    with postgres(settings, autocommit=True) as conn:
        found = conn.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database "
            "WHERE locktype = 'advisory' AND classid = %s AND datname = current_database()",
            (LOCKS,),
        )
        return int(found.fetchone()[0])  # type: ignore[index]  # a count is always there


def test_those_who_wait_for_news_of_a_task_leave_threads_to_others(http: httpx.Client, clean: Settings) -> None:
    task = f"/3d-model-generation/tasks/{made(http)}"

    def wait(_: int) -> Any:
        return http.get(task, headers={"prefer": "wait=15"})

    with ThreadPoolExecutor(2 * THREADS) as pool:
        waiting = [pool.submit(wait, number) for number in range(2 * THREADS)]
        until(lambda: places_taken(clean) == THREADS // 2)
        until(lambda: sum(each.done() for each in waiting) == len(waiting) - THREADS // 2)  # told that no place is free
        until(lambda: http.get("/health/ready").status_code == 200)
        assert http.get(task).json()["status"] == "PENDING"
        assert http.post(f"{task}/cancel").status_code == 200
        answers = [each.result() for each in waiting]
    heeded = [answer for answer in answers if "preference-applied" in answer.headers]
    assert len(heeded) == THREADS // 2
    assert {answer.json()["status"] for answer in heeded} == {"CANCELLED"}
    assert {answer.status_code for answer in answers} == {200}


def test_an_operator_invokes_a_function_and_a_schedule(clean: Settings) -> None:
    migrated = started(ROOT, "facet.invoke", "migrate", **environment_of(clean))
    assert migrated.returncode == 0, migrated.stderr
    assert '"schema"' in migrated.stdout
    reaped = started(ROOT, "facet.invoke", "reap_tasks", "--scheduled", **environment_of(clean))
    assert (reaped.returncode, reaped.stdout) == (0, "null\n"), reaped.stderr
