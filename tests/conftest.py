"""Real PostgreSQL, RabbitMQ and S3 for tests: started once per run on first use, gone when the run ends.

`services` are the servers, shared by all xdist workers. `database`, `broker` and `buckets` are a worker's own part of
them, `environment` is all of it migrated and in os.environ, `clean` empties it before a test.
"""

import importlib
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import hypothesis
import pytest
from psycopg import sql

from local.testing import Local
from local.testing import services as servers
from local.testing.services import management, postgres

pytest_plugins = ["local.testing.plugin"]
Settings = dict[str, str]
PROJECT = Path(__file__).resolve().parents[1]

BUSY = [hypothesis.HealthCheck.too_slow]  # a machine that is, is no bug
hypothesis.settings.register_profile("unhurried", deadline=None, suppress_health_check=BUSY)
hypothesis.settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "also collect tests/deploy: what `make check-deploy` runs"
    parser.getgroup("facet").addoption("--deploy", action="store_true", help=about)


def pytest_configure() -> None:
    """In the background of a script SIGINT is ignored, and would be by the commands that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """None lets the others decide."""
    return True if collection_path == PROJECT / "tests" / "deploy" and not config.getoption("--deploy") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast ones first: what starts the whole product comes last."""
    slow = {PROJECT / "tests" / "compat", PROJECT / "tests" / "stack"}
    items.sort(key=lambda item: item.path.parent in slow)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What runs the coroutines of tests marked `anyio`."""
    return "asyncio"


@pytest.fixture(scope="session")
def services(facet_services: Settings) -> Settings:
    """The settings by which the servers of this run are reached (POSTGRES_*, RABBITMQ_*, MINIO_*, AGENT_*)."""
    return facet_services


@pytest.fixture(scope="session")
def worker(facet_worker: str) -> str:
    """The name of this xdist worker; `main` without xdist."""
    return facet_worker


@pytest.fixture(scope="session")
def database(services: Settings, worker: str) -> Settings:
    """POSTGRES_* of an empty database of this worker's own."""
    return servers.database(services, worker)


@pytest.fixture(scope="session")
def broker(services: Settings, worker: str) -> Settings:
    """RABBITMQ_* of an empty virtual host of this worker's own, in which the agent has its usual rights."""
    return servers.broker(services, worker)


@pytest.fixture(scope="session")
def buckets(services: Settings, worker: str) -> Settings:
    """MINIO_* with bucket names of this worker's own; the buckets do not exist yet."""
    return servers.buckets(services, worker)


@pytest.fixture(scope="session")
def project(database: Settings, broker: Settings, buckets: Settings) -> Iterator[Local]:
    """The functions of this project in this process, with all settings of this worker."""
    settings = {**servers.secret(), **database, **broker, **buckets}
    with Local(PROJECT / "template.yaml", settings=settings, raises=True) as local:
        yield local


@pytest.fixture(scope="session")
def migrated(project: Local) -> Settings:
    """All settings of this worker, its schema, buckets and queues created by the function `migrate`."""
    project.invoke("migrate")
    _forget_settings()
    return project.settings


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
