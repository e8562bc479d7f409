"""Real PostgreSQL, RabbitMQ and S3 for a run of tests, started on first use, gone with it; every worker has a part."""

import json
import secrets
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import psycopg
from filelock import FileLock
from psycopg import sql

from local.cloud import environment
from local.services import rabbitmq, records

Settings = dict[str, str]
_SOURCE = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.05


class NotStarted(Exception):
    """The services of the tests did not start; the text is what they said."""


@dataclass(frozen=True)
class Run:
    """A run of tests: its folder, which is made when it is needed, and the process that leads it."""

    folder: Path
    leader: int

    def services(self) -> Settings:
        """POSTGRES_*, RABBITMQ_*, MINIO_* and AGENT_* of the run's servers. Raises NotStarted."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        log, address = self.folder / "services.log", self.folder / "state/run/services.json"
        with FileLock(self.folder / "lock"):
            if not log.exists():
                self._start(log)
            while not address.exists():
                if records.find(self.folder, "services") is None:
                    raise NotStarted(f"the services of the tests did not start:\n{log.read_text()}")
                time.sleep(_POLL_SECONDS)
        settings: Settings = json.loads(address.read_text())
        return settings

    def end(self) -> None:
        """Stop what was started and remove the folder; for the leader."""
        if not self.folder.exists():
            return
        if running := records.find(self.folder, "services"):
            running.terminate()
            _, alive = psutil.wait_procs([running], timeout=60)
            assert not alive, f"the services of the tests did not stop, see {self.folder}"
        shutil.rmtree(self.folder)

    def _start(self, log: Path) -> None:
        env = self.folder / "env"
        env.touch(mode=0o600)
        env.write_text(environment.render(with_secrets=True))
        command = [sys.executable, "-m", "local.services", "--state", str(self.folder / "state"), "--env", str(env)]
        with log.open("wb") as output:
            started = subprocess.Popen(
                [*command, "--parent", str(self.leader)],
                cwd=_SOURCE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        records.note(self.folder, "services", started.pid)
        started.returncode = 0  # it outlives this worker and is ended by the run's leader: nothing to wait for here


def secret() -> Settings:
    """Fresh values for the settings that are secrets, other than those of services."""
    names = [setting.name for setting in environment.SETTINGS if setting.secret]
    return {name: secrets.token_hex(32) for name in names if not name.startswith(environment.SERVICES)}


def database(services: Mapping[str, str], name: str) -> Settings:
    """POSTGRES_* of a new, empty database."""
    with postgres(services, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return {**named(services, "POSTGRES_"), "POSTGRES_DB": name}


def broker(services: Mapping[str, str], vhost: str) -> Settings:
    """RABBITMQ_* of a new, empty virtual host in which the application and the agent have their usual rights."""
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    agent = rabbitmq.agent_rights({**environment.DEFAULTS, **services})
    rights = {services["RABBITMQ_USER"]: everything, services["AGENT_RABBITMQ_USER"]: agent}
    place = quote(vhost, safe="")
    with management(services) as http:
        http.put(f"/vhosts/{place}").raise_for_status()
        for user, allowed in rights.items():
            http.put(f"/permissions/{place}/{quote(user, safe='')}", json=allowed).raise_for_status()
    return {**named(services, "RABBITMQ_", "AGENT_RABBITMQ_"), "RABBITMQ_VHOST": vhost}


def buckets(services: Mapping[str, str], prefix: str) -> Settings:
    """MINIO_* with bucket names of their own; the buckets do not exist yet."""
    names = {name: value for name, value in environment.DEFAULTS.items() if name.endswith("_BUCKET")}
    return {**named(services, "MINIO_"), **{name: f"{prefix}-{value}" for name, value in names.items()}}


def postgres(settings: Mapping[str, str], *, autocommit: bool = False) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection by POSTGRES_*; `with` commits and closes it."""
    return psycopg.connect(
        host=settings["POSTGRES_HOST"],
        port=settings["POSTGRES_PORT"],
        user=settings["POSTGRES_USER"],
        password=settings["POSTGRES_PASSWORD"],
        dbname=settings["POSTGRES_DB"],
        autocommit=autocommit,
    )


def management(settings: Mapping[str, str]) -> httpx.Client:
    """A client of RabbitMQ's HTTP API."""
    account = settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"]
    base = f"{settings['RABBITMQ_MANAGEMENT_URL']}/api"
    without_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx would read all of the machine's certificates
    # A virtual host takes its time.
    return httpx.Client(base_url=base, auth=account, timeout=60, trust_env=False, verify=without_tls)


def named(settings: Mapping[str, str], *prefixes: str) -> Settings:
    """The settings whose names begin like this."""
    return {name: value for name, value in settings.items() if name.startswith(prefixes)}
