"""The commands of compose.yaml as processes, with servers elsewhere."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def environment(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """That of a container: addresses and secrets, but the agent's, and no .env."""
    ours = {name: value for name, value in settings.items() if not name.startswith("AGENT_")}
    place = {"FACET_STATE": str(folder / "state"), "FACET_ENV_FILE": str(folder / "none")}
    return {"PATH": os.environ["PATH"], **ours, **place, "APP_PORT": "0", "EDGE_PORT": "0"}


def facet(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def running(environment: Mapping[str, str], part: str) -> Iterator[dict[str, Any]]:
    """`facet up --only PART` in the foreground, as a container runs it; its status."""
    command = [sys.executable, "-m", "local", "up", "--only", part]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while (status := facet(environment, "status", "--json")).returncode != 0:
            assert process.poll() is None, process.stdout and process.stdout.read().decode()
            assert time.monotonic() < deadline, status.stdout
        yield json.loads(status.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
