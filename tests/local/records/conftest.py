"""A small project under `facet up`, and the command line for it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from local import cli
from tests.stacks import PROJECT, free_port, until

SAMPLE = Path(__file__).parent / "sample"


@dataclass
class Project:
    folder: Path
    http: httpx.Client

    @property
    def template(self) -> Path:
        return self.folder / "template.yaml"

    def facet(self, verb: str, *arguments: str) -> Result:
        return CliRunner().invoke(cli.main, [verb, *arguments, "--template", str(self.template)])

    def json(self, verb: str, *arguments: str) -> Any:
        return json.loads(self.facet(verb, *arguments, "--json").stdout)

    def ask(self, method: str, path: str, **content: Any) -> str:
        """Sends a request; the id of its record, once it is there."""
        before = self.json("records", "-n", "1")
        self.http.cookies.clear()
        self.http.request(method, path, **content)

        def new() -> str | None:
            found = self.json("records", "-n", "1")
            return found[0]["request_id"] if found and found != before else None

        return until(new, within=20, what=f"a record of {method} {path}")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The sample's functions alone, with records all the same."""
    root = tmp_path_factory.mktemp("recorded")
    folder = root / "project"
    shutil.copytree(SAMPLE, folder)
    with pytest.MonkeyPatch.context() as patch:
        port = free_port()
        settings = {
            "FACET_STATE": str(root / "state"),
            "FACET_ENV_FILE": str(root / ".env"),
            "FACET_RECORDS": "on",
            "APP_PORT": str(port),
            "EDGE_PORT": str(free_port()),
        }
        for name, value in settings.items():
            patch.setenv(name, value)
        _facet(folder, "up", "--detach", "--only", "functions")
        try:
            with httpx.Client(base_url=f"http://localhost:{port}", timeout=30, trust_env=False) as http:
                yield Project(folder, http)
        finally:
            _facet(folder, "down")


def _facet(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "local", *arguments, "--template", str(folder / "template.yaml")]
    done = subprocess.run(command, cwd=PROJECT, env=os.environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
