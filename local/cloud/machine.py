"""What `facet doctor` checks of the machine, whatever the project is."""

import importlib.metadata
import platform
import re
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from local.cloud import listen
from local.cloud.finding import Finding
from local.cloud.project import Project
from local.cloud.state import State
from local.edge.serving import DEFAULT_PORT as EDGE_PORT
from local.sandbox import walls

FREE_BYTES_NEEDED = 1_000_000_000
FILES_NEEDED = 1024
SKEW_SECONDS = 60.0
_LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
_STANDARD_PORTS = (5432, 5672, listen.DEFAULT_PORT, 9000, EDGE_PORT)


def python(project: Project) -> Iterator[Finding]:
    yield Finding("python", platform.python_version())


def packages(project: Project) -> Iterator[Finding]:
    """Those of the lock file, where there is one: an installed wheel has none."""
    text = _LOCK.read_text() if _LOCK.exists() else ""
    wanted = re.findall(r"^([\w.-]+)(?:\[.*?\])?==(\S+) (;?)", text, re.MULTILINE)
    there = {found.name.lower().replace("_", "-"): found.version for found in importlib.metadata.distributions()}
    wrong = [
        f"{name} {there.get(name, 'is missing')}"
        for name, version, on_some_platforms in wanted
        if there.get(name, version if on_some_platforms else None) != version
    ]
    if wrong:
        detail = f"not those of requirements.lock: {', '.join(wrong[:5])}{', …' * (len(wrong) > 5)}"
        yield Finding("packages", detail, failed=True, advice="Install them anew: rm -r .venv && make up")
    elif wanted:
        yield Finding("packages", f"{len(wanted)}, those of requirements.lock")


def disk(project: Project) -> Iterator[Finding]:
    root = State.open(project.root).root
    free = shutil.disk_usage(root).free
    short = free < FREE_BYTES_NEEDED
    yield Finding("disk", f"{free / 1e9:.1f} GB free at {root}", failed=short, advice="Free 1 GB." if short else "")


def files(project: Project) -> Iterator[Finding]:
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= limit < FILES_NEEDED:
        advice = f"Allow more: ulimit -n {FILES_NEEDED if most < 0 else min(4096, most)}"
        yield Finding("open files", f"at most {limit}, too few for busy functions", failed=True, advice=advice)


def clock(project: Project) -> Iterator[Finding]:
    """Signatures and tokens live by it. What this project has written cannot be of the future."""
    root = State.open(project.root).root
    ahead = max((path.stat().st_mtime for path in (root, *root.iterdir())), default=0.0) - time.time()
    wrong = ahead > SKEW_SECONDS
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    detail = f"{now}, but {root} was written {ahead:,.0f} s later" if wrong else now
    yield Finding("clock", detail, failed=wrong, advice="Set the clock (NTP), or remove that folder." if wrong else "")


def sandboxes(project: Project) -> Iterator[Finding]:
    reason = walls.available()
    detail = (
        f"functions can write outside of /tmp: {reason}" if reason else "functions can write to their own /tmp alone"
    )
    advice = "Nothing to do unless you rely on it: such a function would fail in Lambda." if reason else ""
    yield Finding("walls", detail, advice=advice)


def ports(project: Project) -> Iterator[Finding]:
    taken = [str(port) for port in _STANDARD_PORTS if _answers(port)]
    if taken:
        yield Finding(
            "ports", f"{', '.join(taken)} in use by others: Facet takes free ones, `facet status` shows which"
        )


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
