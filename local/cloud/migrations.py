"""Writes a new migration: Alembic's own command on the project's migrations."""

import subprocess
import sys
from pathlib import Path


class RevisionFailed(Exception):
    """Alembic refused; the text is what it printed."""


def create(root: Path, message: str) -> str:
    """The path of the new file, relative to the project. Raises RevisionFailed."""
    folder = root / "infra/migrations"
    taken = [path.name.partition("_")[0] for path in folder.glob("python/migrations/versions/*.py")]
    number = max((int(name) for name in taken if name.isdecimal()), default=0) + 1
    config = ["-c", str(folder / "alembic.ini")]
    command = [sys.executable, "-m", "alembic", *config, "revision", "-m", message, "--rev-id", f"{number:04}"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RevisionFailed(result.stderr.strip() or result.stdout.strip())
    return result.stdout.partition("Generating ")[2].partition(" ... ")[0].strip().removeprefix(f"{root}/")
