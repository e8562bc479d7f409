"""SAM's command line, in a virtual environment of its own, without an account."""

import os
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SAM = PROJECT / ".venv-sam/bin/sam"
LAMBDA_PYTHON = PROJECT / ".venv-lambda/bin/python3.13"
NO_PYTHON = "there is no Python 3.13 here; next: make check-deploy PYTHON313=/path/to/python3.13"


class BuildFailed(Exception):
    """The text is what `sam build` said."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` and Python 3.13 are what a build finds on PATH; `python3` has pip."""
    path = [str(PROJECT / ".venv/bin"), os.environ["PATH"], str(LAMBDA_PYTHON.parent)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "COVERAGE"))}
    settings = {"AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0", "PATH": os.pathsep.join(path)}
    return subprocess.run(
        [str(SAM), *arguments],
        cwd=PROJECT,
        env=kept | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def build(folder: Path) -> None:
    """Raises BuildFailed."""
    done = run("build", "--template", "template.yaml", "--build-dir", str(folder), "--no-cached")
    if done.returncode:
        raise BuildFailed(done.stdout + done.stderr)
