"""What the checks of deployments share: SAM's command line and what it builds."""

from pathlib import Path

import pytest
from filelock import FileLock

from tests.deploy import sam


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Path:
    """The folder that `sam build` made of this project; one for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker == "main" else base.parent) / "sam-build"
    with FileLock(f"{folder}.lock"):
        if not (folder / "template.yaml").exists():
            sam.build(folder)
    return folder
