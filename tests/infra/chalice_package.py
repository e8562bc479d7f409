"""What `chalice package` makes of infra/chalice, in a copy of what it reads: the project keeps no trace of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import PROJECT

HERE = PROJECT / "infra/chalice"
_NOT_GIVEN = ("AWS_", "PYTHON", "COVERAGE")
_NO_ACCOUNT = {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"}
_STRICT = 0o077  # as the umask of an operator may be


def make(root: Path, *targets: str) -> Path:
    """The folder with the template and the zip file, after `make` of these targets of its Makefile."""
    (root / "infra").mkdir()
    for path in ("functions", "layers", "shared", "infra/migrations"):
        (root / path).symlink_to(PROJECT / path)
    left_out = shutil.ignore_patterns("vendor", "out", "deployments", "__pycache__")
    here = shutil.copytree(HERE, root / "infra/chalice", ignore=left_out)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_GIVEN)}
    _run(here, {**kept, "PATH": path}, "make", "--silent", *targets)
    chalice = (sys.executable, "-c", "from chalice.cli import main; main()", "--project-dir", str(here))
    package = ("package", "--stage", "prod", "--merge-template", "resources.json", "out")
    _run(here, {"PATH": path, **_NO_ACCOUNT}, *chalice, *package)
    return here / "out"


def _run(folder: Path, environment: Mapping[str, str], *command: str) -> None:
    subprocess.run(command, cwd=folder, env=environment, umask=_STRICT, check=True, stdout=subprocess.DEVNULL)
