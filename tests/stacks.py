"""The whole product as a user starts it: a state directory of its own, `up`, its addresses, `down`."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

PROJECT = Path(__file__).resolve().parents[1]
PRODUCT_SETTINGS = (
    "POSTGRES_",
    "RABBITMQ_",
    "MINIO_",
    "AGENT_",
    "FACET_",
    "APP_",
    "ASYNC_",
    "EDGE_",
    "SECRET_KEY",
    "REFRESH_",
    "ACCESS_TOKEN_",
    "HASH_ALGORITHM",
    "PATH_PREFIX",
    "CORS_ORIGINS",
    "INTEGRATIONS_AUTH",
    "LOG_LEVEL",
    "LIMIT_",
    "LONG_POLL_WAITERS",
    "TRUSTED_PROXIES",
    "AGENT_SILENCE_MINUTES",
    "TASK_DEADLINE_HOURS",
    "RETENTION_DAYS",
)
# Tests come from one address and in a hurry; those about limits set their own.
UNLIMITED = dict.fromkeys(
    [
        "LIMIT_REGISTRATIONS_PER_ADDRESS",
        "LIMIT_SIGN_INS_PER_ADDRESS",
        "LIMIT_SIGN_INS_PER_ACCOUNT",
        "LIMIT_CREATES_PER_OWNER",
        "LIMIT_UPLOADS_PER_OWNER",
    ],
    "off",
) | {"LIMIT_TASKS_IN_FLIGHT": "0"}

T = TypeVar("T")
_kept_ports: list[socket.socket] = []


def until(probe: Callable[[], T | None], *, within: float, what: str) -> T:
    """The first answer of `probe` that is not empty; fails after `within` seconds, naming `what`."""
    deadline = time.monotonic() + within
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.05)


class Stack:
    """One `up` with its own state and secrets; `api` and `gateway` are URLs, `services` their addresses."""

    def __init__(self, root: Path, *, options: Sequence[str] = (), settings: Mapping[str, str] | None = None) -> None:
        self.state = root / "state"
        self.env_file = root / ".env"
        self.options = tuple(options)
        self.environment = self._environment(settings or {})
        self.api = ""
        self.gateway = ""
        self.services: dict[str, Any] = {}
        self.is_up = False

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name == "FACET_SERVERS" or not name.startswith(PRODUCT_SETTINGS)
        }
        own = {
            "FACET_STATE": str(self.state),
            "FACET_ENV_FILE": str(self.env_file),
            "APP_PORT": str(free_port()),  # not 8080: whoever else is started would take it as soon as it is given up
            "EDGE_PORT": str(free_port()),
        }
        return {**inherited, **UNLIMITED, **own, **settings}

    def facet(
        self, *arguments: str, accept: Sequence[int] = (0,), timeout: float = 100
    ) -> subprocess.CompletedProcess[str]:
        """One command of the CLI; an exit code outside `accept` fails with its output and the end of every log."""
        done = subprocess.run(
            [sys.executable, "-m", "local", *arguments],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if done.returncode not in accept:
            said = f"{done.stdout}\n{done.stderr}\n{self.log_tails()}"
            raise AssertionError(f"`facet {' '.join(arguments)}` ended with {done.returncode}\n{said}")
        return done

    def log_tails(self) -> str:
        logs = sorted(self.state.rglob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def up(self) -> None:
        self.facet("up", "--detach", *self.options)
        self._note_addresses()
        self.is_up = True

    def _note_addresses(self) -> None:
        status = self.status()
        self.api, self.gateway, self.services = status["api"], status["gateway"], status["services"]

    @contextmanager
    def in_foreground(self) -> Iterator[subprocess.Popen[bytes]]:
        """`facet up` as in a terminal, ready; killed with the block if it still runs then."""
        command = [sys.executable, "-m", "local", "up", *self.options]
        with (
            (self.state / "foreground.log").open("wb") as log,
            subprocess.Popen(
                command,
                cwd=PROJECT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            try:
                self._note_addresses()
                yield process
            finally:
                process.kill()

    def down(self) -> None:
        """Stops it, and fails when a process of it is left."""
        self.is_up = False
        before = self.processes()
        stopped = self.facet("down", accept=range(256))
        left = self.survivors(before)
        for process in left:
            process.kill()
        assert not left, f"`facet down` left {left}; it said {stopped.stdout}{stopped.stderr}"
        assert stopped.returncode == 0, (
            f"`facet down` ended with {stopped.returncode}: {stopped.stdout}{stopped.stderr}"
        )

    def status(self) -> dict[str, Any]:
        """What `facet status` tells as soon as all of it is ready."""

        def told() -> dict[str, Any] | None:
            asked = self.facet("status", "--json", accept=(0, 1))
            said: dict[str, Any] = json.loads(asked.stdout)
            assert said["ready"] is (asked.returncode == 0)
            return said if said["ready"] else None

        return until(told, within=60, what="`facet status --json` says ready")

    def settings(self) -> dict[str, str]:
        """Its .env, as an operator reads it."""
        lines = (line.strip() for line in self.env_file.read_text().splitlines())
        pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
        return {name.strip(): value.strip().strip("\"'") for name, value in pairs}

    def processes(self) -> set[psutil.Process]:
        """Every live process that mentions the state directory, with all that descends from it."""
        found = {process for process in psutil.process_iter() if self._mentions_state(process)}
        for process in tuple(found):
            with suppress(psutil.NoSuchProcess):
                found.update(process.children(recursive=True))
        return found

    def listening(self) -> set[tuple[str, int]]:
        """The addresses and ports its processes listen on."""
        found = set()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                connections = process.net_connections("tcp")
                found |= {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}
        return found

    def _mentions_state(self, process: psutil.Process) -> bool:
        state = str(self.state)
        try:
            if state in " ".join(process.cmdline()) or process.cwd().startswith(state):
                return True
            return any(state in value for value in process.environ().values())
        except psutil.Error:
            return False

    def survivors(self, before: set[psutil.Process], *, within: float = 5) -> list[psutil.Process]:
        """Those of `before`, or new ones of this state directory, that still run after `within` seconds."""
        deadline = time.monotonic() + within
        while True:
            left = [process for process in before | self.processes() if is_alive(process)]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.1)


def free_port() -> int:
    """One on which nothing listens, kept for this process: others do not find it free, on Linux our servers may."""
    kept = socket.socket()
    kept.bind(("127.0.0.1", 0))
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # afterwards: with it one that is kept already is given
    port = int(kept.getsockname()[1])
    if sys.platform == "linux":
        _kept_ports.append(kept)
    else:
        kept.close()
    return port


def is_alive(process: psutil.Process) -> bool:
    """Zombies are dead: who has to reap them is the machine's business."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running(root: Path, *, options: Sequence[str] = (), settings: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """A ready stack; at the end, also of a failure, it is stopped and must have left no process."""
    stack = Stack(root, options=options, settings=settings)
    try:
        stack.facet("env")
        stack.up()
        yield stack
    finally:
        stack.down()
        shutil.rmtree(stack.state / "data", ignore_errors=True)  # logs stay, for whoever has to find out
