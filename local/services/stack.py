"""All services together: each is started here or, where `.env` names a server of that kind, checked."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import psycopg

from local.cloud import environment
from local.cloud.state import State
from local.services import postgres, probe, rabbitmq
from local.services.process import Program, ServiceFailed
from local.services.supervisor import Supervisor

Report = Callable[[str], None]
Settings = dict[str, str]
SOURCE = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"


async def start_services(
    state: State,
    env: Mapping[str, str],
    supervisor: Supervisor,
    report: Report,
    wanted: Collection[str] = ("postgres", "rabbitmq", "objects"),
) -> Settings:
    """Run or check PostgreSQL, RabbitMQ and the S3 server, as far as they are wanted, all at once.

    Returns the POSTGRES_*, RABBITMQ_*, MINIO_* and AGENT_* settings by which they are reached; raises ServiceFailed.
    """
    env = {**environment.DEFAULTS, **env}
    await supervisor.take_over()  # first, so that the ports of a killed run are free again
    try:
        async with asyncio.TaskGroup() as group:
            each = {"postgres": _postgres, "rabbitmq": _rabbitmq, "objects": _objects}
            parts = [group.create_task(each[name](state, env, supervisor, report)) for name in wanted]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return {name: value for part in parts for name, value in part.result().items()}


async def _postgres(state: State, env: Mapping[str, str], supervisor: Supervisor, report: Report) -> Settings:
    settings = _named(env, "POSTGRES_")
    _require("postgres", env, "POSTGRES_PASSWORD")
    if host := env.get("POSTGRES_HOST"):
        _port("postgres", env, "POSTGRES_PORT")
        try:
            await (await postgres.connect_as_application(settings)).close()
        except psycopg.OperationalError as refusal:
            where = f"{host}:{settings['POSTGRES_PORT']}"
            raise _unreachable("postgres", "POSTGRES_HOST", where, str(refusal)) from None
        report(f"postgres: using {host}")
        return settings
    await supervisor.start(await postgres.prepare(state, report))
    await postgres.provision(state, env)
    return {**settings, "POSTGRES_HOST": LOOPBACK, "POSTGRES_PORT": str(state.port("postgres"))}


async def _rabbitmq(state: State, env: Mapping[str, str], supervisor: Supervisor, report: Report) -> Settings:
    settings = _named(env, "RABBITMQ_", "AGENT_RABBITMQ_")
    _require("rabbitmq", env, "RABBITMQ_PASSWORD")
    if host := env.get("RABBITMQ_HOST"):
        port = _port("rabbitmq", env, "RABBITMQ_PORT")
        if not await probe.speaks_amqp(host, port):
            raise _unreachable("rabbitmq", "RABBITMQ_HOST", f"{host}:{port}", "no broker answers")
        report(f"rabbitmq: using {host}")
        if "AGENT_RABBITMQ_PASSWORD" not in settings:
            settings["AGENT_RABBITMQ_USER"] = settings["RABBITMQ_USER"]
            settings["AGENT_RABBITMQ_PASSWORD"] = settings["RABBITMQ_PASSWORD"]
        return settings
    _require("rabbitmq", env, "AGENT_RABBITMQ_PASSWORD")
    for program in await rabbitmq.prepare(state, env, report):
        await supervisor.start(program)
    return {
        **settings,
        "RABBITMQ_HOST": LOOPBACK,
        "RABBITMQ_PORT": str(state.port("rabbitmq")),
        "RABBITMQ_MANAGEMENT_URL": f"http://{LOOPBACK}:{state.port('rabbitmq-management')}",
    }


async def _objects(state: State, env: Mapping[str, str], supervisor: Supervisor, report: Report) -> Settings:
    settings = _named(env, "MINIO_", "AGENT_MINIO_")
    _require("objects", env, "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
    root = {"AGENT_MINIO_ACCESS_KEY": env["MINIO_ACCESS_KEY"], "AGENT_MINIO_SECRET_KEY": env["MINIO_SECRET_KEY"]}
    if host := env.get("MINIO_HOST"):
        url = host if "://" in host else f"http://{host}"
        if await probe.http_status(url) is None:
            raise _unreachable("objects", "MINIO_HOST", url, "no HTTP server answers")
        report(f"objects: using {url}")
        return {**root, **settings}
    minio = shutil.which("minio")
    if minio and not state.data("objects").exists():  # what our server has stored, MinIO could not read
        report("objects: using the minio found on PATH; the agent shares the application's keys")
        await supervisor.start(_minio(state, env, minio))
        settings |= root
    else:
        _require("objects", env, "AGENT_MINIO_ACCESS_KEY", "AGENT_MINIO_SECRET_KEY")
        await supervisor.start(_object_server(state, env))
    return {**settings, "MINIO_HOST": f"http://{LOOPBACK}:{state.port('objects')}"}


def _object_server(state: State, env: Mapping[str, str]) -> Program:
    region = env["MINIO_REGION"]
    models = env["MINIO_3D_FILES_BUCKET"]
    keys = [
        _key(env["MINIO_ACCESS_KEY"], env["MINIO_SECRET_KEY"], region, None),
        _key(env["AGENT_MINIO_ACCESS_KEY"], env["AGENT_MINIO_SECRET_KEY"], region, {models: ["read", "write"]}),
    ]
    place = ("--data", str(state.data("objects")), "--host", LOOPBACK, "--port", str(state.port("objects")))
    return _storage(
        state,
        (sys.executable, "-m", "local.services.objects", *place),
        {"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1", "OBJECTS_KEYS": json.dumps(keys)},
    )


def _minio(state: State, env: Mapping[str, str], minio: str) -> Program:
    addresses = [f"{LOOPBACK}:{state.port(name)}" for name in ("objects", "objects-console")]
    place = (str(state.data("minio")), "--address", addresses[0], "--console-address", addresses[1])
    return _storage(
        state,
        (minio, "server", *place),
        {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(state.root),
            "MINIO_ROOT_USER": env["MINIO_ACCESS_KEY"],
            "MINIO_ROOT_PASSWORD": env["MINIO_SECRET_KEY"],
        },
    )


def _storage(state: State, command: tuple[str, ...], variables: Mapping[str, str]) -> Program:
    async def ready() -> bool:
        return await probe.http_status(f"http://{LOOPBACK}:{state.port('objects')}/minio/health/live") == 200

    return Program(name="objects", command=command, env=variables, cwd=SOURCE, log=state.log("objects"), ready=ready)


def _key(
    access_key: str, secret_key: str, region: str, allow: Mapping[str, list[str]] | None
) -> dict[str, str | Mapping[str, list[str]] | None]:
    return {"access_key": access_key, "secret_key": secret_key, "region": region, "allow": allow}


def _named(env: Mapping[str, str], *prefixes: str) -> Settings:
    return {name: value for name, value in env.items() if name.startswith(prefixes) and value}


def _require(service: str, env: Mapping[str, str], *names: str) -> None:
    if missing := [name for name in names if not env.get(name)]:
        raise ServiceFailed(
            service,
            f"{', '.join(missing)} not set in .env",
            advice="next: copy the line from .env.example and give it a value, or write a new .env with `make env`",
        )


def _port(service: str, env: Mapping[str, str], name: str) -> int:
    if not env[name].isdigit():
        raise ServiceFailed(service, f"{name} in .env is not a number", advice="next: correct it")
    return int(env[name])


def _unreachable(service: str, name: str, where: str, cause: str) -> ServiceFailed:
    return ServiceFailed(
        service,
        f"{name} points to {where}, but {cause}",
        advice=f"next: start that server or correct its settings; without {name} (.env, environment) one is run here",
    )
