"""What the checks of deployments share: what SAM's command line builds, and the functions of it, running."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from local.testing import services as servers
from tests.conftest import Settings
from tests.deploy import sam, world
from tests.deploy.deployed import Deployed
from tests.deploy.world import World

pytest.register_assert_rewrite("tests.deploy.trials")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Path:
    """The folder that `sam build` made of this project; one for a run. FACET_BUILD names one made before."""
    if given := os.environ.get("FACET_BUILD"):
        return Path(given)
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker == "main" else base.parent) / "sam-build"
    with FileLock(f"{folder}.lock"):
        if not (folder / "template.yaml").exists():
            sam.build(folder)
    return folder


@pytest.fixture(scope="session")
def lambda_python() -> Path:
    """Lambda's Python and what its runtime has."""
    if not sam.LAMBDA_PYTHON.exists():
        pytest.skip(sam.NO_PYTHON)
    return sam.LAMBDA_PYTHON


@pytest.fixture(scope="session")
def installed(built: Path, lambda_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The built functions and their layers, where they lie in Lambda; no server is known to them."""
    return Deployed(built, tmp_path_factory.mktemp("installed"), settings={})


@pytest.fixture(scope="module")
def running(
    built: Path,
    lambda_python: Path,
    database: Settings,
    broker: Settings,
    buckets: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """The built functions with a worker's own database, virtual host and buckets, migrated by the built `migrate`."""
    settings = {**servers.secret(), **database, **broker, **buckets}
    with world.made(built, tmp_path_factory.mktemp("lambda"), settings) as made:
        yield made
