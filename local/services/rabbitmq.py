"""RabbitMQ as a private node: its own name server, cookie, users and ports, on loopback only."""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from local.cloud.state import State
from local.services import probe, rabbitmq_server
from local.services.process import Program, ServiceFailed
from local.services.rabbitmq_server import Server

ERLANG_OPTIONS = " ".join(
    (
        "-kernel inet_dist_use_interface {127,0,0,1}",
        "+S 2:2 +sbwt none",  # two schedulers that sleep when idle
        # At its end the management plugin waits 5 s for an answer that cannot come. By then all messages are on disk.
        "-shutdown_time 2000",
    )
)
NODE = "facet@localhost"  # queues belong to the node's name: another name would not find them


async def prepare(state: State, env: Mapping[str, str], report: Callable[[str], None]) -> tuple[Program, Program]:
    """Write the node's configuration; returns the name server and the node, to be started in this order."""
    home = state.data("rabbitmq")
    if any(quote in str(home) for quote in "\"'"):
        raise ServiceFailed(
            "rabbitmq",
            f"it cannot keep its data in {home}, because of the quote in that path",
            advice="next: set the environment variable FACET_STATE to a folder without one",
        )
    server = await rabbitmq_server.find(state, report)
    for folder in (home, home / "mnesia", home / "log"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_cookie(home / ".erlang.cookie")
    _write(home / "definitions.json", json.dumps(definitions(env), indent=2))
    _write(home / "rabbitmq.conf", _configuration(state))
    _write(home / "enabled_plugins", "[rabbitmq_management].\n")
    _write(home / "rabbitmq-env.conf", "")
    variables = _environment(state, home, server)
    epmd_port = state.port("rabbitmq-epmd")
    management = f"http://127.0.0.1:{state.port('rabbitmq-management')}"
    listening = f"{management}/api/health/checks/port-listener/{state.port('rabbitmq')}"

    async def epmd_ready() -> bool:
        return await probe.speaks_epmd("127.0.0.1", epmd_port)

    async def node_ready() -> bool:
        account = env["RABBITMQ_USER"], env["RABBITMQ_PASSWORD"]
        return await probe.http_status(listening, account) == 200

    epmd = Program(
        name="epmd",
        command=(str(server.epmd), "-port", str(epmd_port), "-address", "127.0.0.1"),
        env=variables,
        cwd=home,
        log=state.log("epmd"),
        ready=epmd_ready,
        ready_timeout=15.0,
    )
    node = Program(
        name="rabbitmq",
        command=(str(server.sbin / "rabbitmq-server"),),
        env=variables,
        cwd=home,
        log=state.log("rabbitmq"),
        ready=node_ready,
        ready_timeout=90.0,
    )
    return epmd, node


def definitions(env: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """The users and their rights, imported at each start: a password changed in the settings takes effect."""
    vhost, user, agent = env["RABBITMQ_VHOST"], env["RABBITMQ_USER"], env["AGENT_RABBITMQ_USER"]
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    # Should both share an account, it is the application's.
    users = {agent: _user(env["AGENT_RABBITMQ_PASSWORD"], ""), user: _user(env["RABBITMQ_PASSWORD"], "administrator")}
    rights = {agent: agent_rights(env), user: everything}
    return {
        "vhosts": [{"name": vhost}],
        "users": [{"name": name, **account} for name, account in users.items()],
        "permissions": [{"user": name, "vhost": vhost, **right} for name, right in rights.items()],
    }


async def provision(env: Mapping[str, str]) -> None:
    """Give a broker of yours the agent's user, through its management API; raises ServiceFailed."""
    needed = ("RABBITMQ_USER", "RABBITMQ_PASSWORD", "AGENT_RABBITMQ_USER", "AGENT_RABBITMQ_PASSWORD")
    if missing := [name for name in needed if not env.get(name)]:
        raise ServiceFailed(
            "rabbitmq",
            f"the agent's user cannot be made without {', '.join(missing)}",
            advice="next: put what is missing into .env, or leave RABBITMQ_MANAGEMENT_URL out",
        )
    url, wanted = env["RABBITMQ_MANAGEMENT_URL"], definitions(env)
    account = (env["RABBITMQ_USER"], env["RABBITMQ_PASSWORD"])
    agent = env["AGENT_RABBITMQ_USER"]
    only_the_agent = {
        "users": [each for each in wanted["users"] if each["name"] == agent],
        "permissions": [each for each in wanted["permissions"] if each["user"] == agent],
    }
    try:
        async with httpx.AsyncClient(base_url=url, auth=account, trust_env=False, timeout=10) as http:
            (await http.post("/api/definitions", json=only_the_agent)).raise_for_status()
    except httpx.HTTPError as problem:
        raise ServiceFailed(
            "rabbitmq",
            f"the agent's user cannot be made through {url}: {problem}",
            advice="next: check RABBITMQ_MANAGEMENT_URL, RABBITMQ_USER and RABBITMQ_PASSWORD",
        ) from problem


def agent_rights(env: Mapping[str, str]) -> dict[str, str]:
    """What an agent may do: declare the two queues, take tasks, and publish through the default exchange."""
    tasks, results = (re.escape(env[f"RABBITMQ_{name}_QUEUE"]) for name in ("TASKS", "TASKS_RESULTS"))
    both = f"{tasks}|{results}"
    return {"configure": f"^({both})$", "write": rf"^({both}|amq\.default)$", "read": f"^({tasks})$"}


def _user(password: str, tags: str) -> dict[str, str]:
    salt = secrets.token_bytes(4)
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }


def _configuration(state: State) -> str:
    return f"""\
listeners.tcp.1 = 127.0.0.1:{state.port("rabbitmq")}
management.tcp.ip = 127.0.0.1
management.tcp.port = {state.port("rabbitmq-management")}
management.rates_mode = none
load_definitions = definitions.json
log.console = true
log.console.use_colors = off
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 100MB
"""


def _environment(state: State, home: Path, server: Server) -> dict[str, str]:
    return {
        "PATH": server.path,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(state.port("rabbitmq-epmd")),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_DIST_PORT": str(state.port("rabbitmq-dist")),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_OPTIONS,
        "RUNNING_UNDER_SYSTEMD": "true",  # the script then becomes the server instead of waiting for it
    }


def _write_cookie(path: Path) -> None:
    if not path.exists():
        _write(path, secrets.token_hex(20))
        path.chmod(0o400)


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
