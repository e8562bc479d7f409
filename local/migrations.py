"""Writes a new migration: Alembic's own command on the project's migrations."""

import subprocess
import sys
from pathlib import Path


class RevisionFailed(Exception):
    """Alembic refused; the text is what it printed."""


def create(root: Path, message: str) -> str:
    """The path of the new file, relative to the project. Raises RevisionFailed."""
    command = [sys.executable, "-m", "alembic", "-c", "infra/migrations/alembic.ini", "revision", "-m", message]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RevisionFailed(result.stderr.strip() or result.stdout.strip())
    return result.stdout.partition("Generating ")[2].partition(" ... ")[0].strip().removeprefix(f"{root}/")
