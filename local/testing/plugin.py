"""The pytest plugin: fixtures `local` and `local_sandbox`, the template's functions with servers of the run's own.

A template that names no PostgreSQL, RabbitMQ or S3 setting and no queue starts no server. Each xdist worker has its own
database, virtual host and bucket names; the function `migrate`, where there is one, has prepared them.
"""

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # whoever does not use the fixtures pays for nothing
    from local.testing.client import Local
    from local.testing.services import Run

RUN = pytest.StashKey[tuple[Path, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "the template.yaml of the fixtures local and local_sandbox (default: of pytest's root folder)"
    parser.getgroup("facet").addoption("--facet-template", metavar="FILE", help=about)
    parser.addini("facet_template", about)


def pytest_configure(config: pytest.Config) -> None:
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        folder = Path(tempfile.gettempdir()) / f"facet-tests-{secrets.token_hex(6)}"
        config.stash[RUN] = folder, os.getpid()
    else:
        config.stash[RUN] = Path(given["facet_folder"]), given["facet_leader"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    folder, leader = node.config.stash[RUN]
    node.workerinput |= {"facet_folder": str(folder), "facet_leader": leader}


def pytest_unconfigure(config: pytest.Config) -> None:
    folder, leader = config.stash[RUN]
    if leader == os.getpid() and folder.exists():
        _run(config).end()


@pytest.fixture(scope="session")
def facet_worker() -> str:
    """The name of this xdist worker; `main` without xdist."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def facet_services(pytestconfig: pytest.Config) -> dict[str, str]:
    """The settings by which the servers of this run are reached (POSTGRES_*, RABBITMQ_*, MINIO_*, AGENT_*)."""
    from local.testing.services import NotStarted

    try:
        return _run(pytestconfig).services()
    except NotStarted as exc:
        pytest.fail(str(exc), pytrace=False)


@pytest.fixture(scope="session")
def facet_template(pytestconfig: pytest.Config) -> Path:
    """The template that --facet-template or the ini value facet_template names, or that of the root folder."""
    from local.cloud import project

    named = pytestconfig.getoption("--facet-template") or pytestconfig.getini("facet_template")
    try:
        return project.find(pytestconfig.rootpath / named if named else None, start=pytestconfig.rootpath).template
    except project.ProjectNotFound as exc:
        pytest.fail(f"{exc} For pytest: --facet-template FILE, or facet_template in its ini file.", pytrace=False)


@pytest.fixture(scope="session")
def facet_settings(request: pytest.FixtureRequest, facet_template: Path, facet_worker: str) -> dict[str, str]:
    """What the functions of this worker are set to: `.env` without its servers, fresh secrets, this run's servers."""
    from local import template
    from local.cloud import environment, project
    from local.testing import services

    found = template.load(facet_template, environment.effective(facet_template.parent))
    given = environment.effective(facet_template.parent, found.settings).items()
    own = {name: value for name, value in given if not name.startswith(environment.SERVICES)} | services.secret()
    if not project.services(found):
        return own
    servers: dict[str, str] = request.getfixturevalue("facet_services")
    return {
        **own,
        **services.database(servers, f"local_{facet_worker}"),
        **services.broker(servers, f"local_{facet_worker}"),
        **services.buckets(servers, f"local-{facet_worker}"),
    }


@pytest.fixture(scope="session")
def _facet_in_process(facet_template: Path, facet_settings: dict[str, str]) -> Iterator["Local"]:
    from local.testing.client import Local

    with Local(facet_template, settings=facet_settings) as client:
        if "migrate" in client.template.functions:
            migrated = client.invoke("migrate", {})
            assert migrated.function_error is None, migrated.log
        client.declare()
        yield client


@pytest.fixture(scope="session")
def _facet_sandboxes(
    facet_template: Path, facet_settings: dict[str, str], _facet_in_process: "Local"
) -> Iterator["Local"]:
    from local.testing.client import Local

    with Local(facet_template, mode="sandbox", settings=facet_settings) as client:
        yield client


@pytest.fixture
def local(_facet_in_process: "Local") -> Iterator["Local"]:
    """The template's functions in this process: fast, and breakpoints and coverage work."""
    yield _facet_in_process
    _facet_in_process.purge()


@pytest.fixture
def local_sandbox(_facet_sandboxes: "Local") -> Iterator["Local"]:
    """The template's functions in sandboxes, with the limits that `facet up` enforces."""
    yield _facet_sandboxes
    _facet_sandboxes.purge()


def _run(config: pytest.Config) -> "Run":
    from local.testing.services import Run

    return Run(*config.stash[RUN])
