"""Real PostgreSQL, RabbitMQ and S3 for tests: started once per run on first use, gone when the run ends.

`services` are the servers, shared by all xdist workers. `database`, `broker` and `buckets` are a worker's own part of
them, `environment` is all of it migrated and in os.environ, `clean` empties it before a test.
"""

import importlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from filelock import FileLock
from psycopg import sql

from local.cloud.environment import render
from local.services import records
from tests.servers import create_vhost, management, named, postgres

PROJECT = Path(__file__).resolve().parents[1]
RUN = pytest.StashKey[tuple[Path, int]]()  # the folder of this test run and the process that leads it
Settings = dict[str, str]


def pytest_configure(config: pytest.Config) -> None:
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        config.stash[RUN] = Path(tempfile.mkdtemp(prefix="facet-tests-")), os.getpid()
    else:
        config.stash[RUN] = Path(given["facet_folder"]), given["facet_leader"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast ones first: what starts the whole product comes last."""
    slow = {PROJECT / "tests" / "compat", PROJECT / "tests" / "stack"}
    items.sort(key=lambda item: item.path.parent in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    folder, leader = node.config.stash[RUN]
    node.workerinput |= {"facet_folder": str(folder), "facet_leader": leader}


def pytest_unconfigure(config: pytest.Config) -> None:
    folder, leader = config.stash[RUN]
    if leader != os.getpid():
        return
    if running := records.find(folder, "services"):
        running.terminate()
        _, alive = psutil.wait_procs([running], timeout=15)
        assert not alive, f"the services of the tests did not stop, see {folder}"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What runs the coroutines of tests marked `anyio`."""
    return "asyncio"


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> Settings:
    """The settings by which the servers of this run are reached (POSTGRES_*, RABBITMQ_*, MINIO_*, AGENT_*)."""
    folder, leader = pytestconfig.stash[RUN]
    log, address = folder / "services.log", folder / "state/run/services.json"
    with FileLock(folder / "lock"):
        if not log.exists():
            _start_services(folder, leader, log)
        while not address.exists():
            if records.find(folder, "services") is None:
                pytest.fail(f"the services of the tests did not start:\n{log.read_text()}", pytrace=False)
            time.sleep(0.05)
    settings: Settings = json.loads(address.read_text())
    return settings


def _start_services(folder: Path, leader: int, log: Path) -> None:
    env = folder / "env"
    env.touch(mode=0o600)
    env.write_text(render(with_secrets=True))
    command = [sys.executable, "-m", "local.services", "--state", str(folder / "state"), "--env", str(env)]
    with log.open("wb") as output:
        started = subprocess.Popen(
            [*command, "--parent", str(leader)], cwd=PROJECT, stdout=output, stderr=output, start_new_session=True
        )
    records.note(folder, "services", started.pid)
    started.returncode = 0  # it outlives this worker and is ended by the run's leader: nothing to wait for here


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    """The name of this xdist worker; `main` without xdist."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def database(services: Settings, worker: str) -> Settings:
    """POSTGRES_* of an empty database of this worker's own."""
    with postgres(services, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(worker)))
    return {**named(services, "POSTGRES_"), "POSTGRES_DB": worker}


@pytest.fixture(scope="session")
def broker(services: Settings, worker: str) -> Settings:
    """RABBITMQ_* of an empty virtual host of this worker's own, in which the agent has its usual rights."""
    return create_vhost(services, worker)


@pytest.fixture(scope="session")
def buckets(services: Settings, worker: str) -> Settings:
    """MINIO_* with bucket names of this worker's own; the buckets do not exist yet."""
    names = {
        "MINIO_IMAGES_BUCKET": f"{worker}-input-images",
        "MINIO_3D_FILES_BUCKET": f"{worker}-3d-files",
        "MINIO_DECA_EMOTIONS_BUCKET": f"{worker}-deca-emotions",
    }
    return {**named(services, "MINIO_"), **names}


@pytest.fixture(scope="session")
def migrated(database: Settings, broker: Settings, buckets: Settings) -> Settings:
    """All settings of this worker, its schema, buckets and queues created by the function `migrate`."""
    generated = {name: secrets.token_hex(32) for name in ("SECRET_KEY", "REFRESH_SECRET_KEY")}
    settings = {**database, **broker, **buckets, **generated}
    with pytest.MonkeyPatch.context() as patch:
        _export(settings, patch)
        handler = importlib.import_module("functions.migrate.handler")
        context = SimpleNamespace(
            function_name="migrate", aws_request_id="test", get_remaining_time_in_millis=lambda: 60_000
        )
        handler.app({}, context)
    _forget_settings()
    return settings


@pytest.fixture
def environment(migrated: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The migrated settings in os.environ, where functions read them; monkeypatch.setenv may change some."""
    _export(migrated, monkeypatch)
    return migrated


@pytest.fixture
def clean(environment: Settings) -> Settings:
    """The environment with empty tables and empty queues."""
    with postgres(environment) as conn:
        rows = conn.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
        if rows:
            tables = sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)
            conn.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(tables))
    vhost = quote(environment["RABBITMQ_VHOST"], safe="")
    with management(environment) as http:
        for queue in http.get(f"/queues/{vhost}", params={"disable_stats": "true", "columns": "name"}).json():
            http.delete(f"/queues/{vhost}/{quote(queue['name'], safe='')}/contents").raise_for_status()
    return environment


def _export(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    for name, value in settings.items():
        patch.setenv(name, value)
    _forget_settings()


def _forget_settings() -> None:
    importlib.import_module("facet.settings").settings.cache_clear()
