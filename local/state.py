"""Where a running Facet keeps its data, logs, records and remembered ports: `.facet/` of the project."""

import contextlib
import json
import os
import random
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

# Below the range from which outgoing connections take theirs, so that a remembered port is still free tomorrow.
PORTS = range(20_000, 32_000)


class StateInUse(Exception):
    """Another process runs on this state directory."""


@dataclass(frozen=True)
class State:
    root: Path
    server: Path
    """Unpacked server programs, shared by every state of the project."""
    _held: dict[str, socket.socket] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, project: Path, root: Path | None = None) -> "State":
        """The state of a project: `root`, else FACET_STATE, else `.facet` in it."""
        home = project.resolve() / ".facet"
        chosen = root or Path(os.environ.get("FACET_STATE") or home)
        state = cls(chosen.resolve(), Path(os.environ.get("FACET_SERVERS") or home / "server").resolve())
        for folder in (state.root, state.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return state

    @property
    def run(self) -> Path:
        """Records of what is running: pids, addresses, locks."""
        return self.root / "run"

    def data(self, name: str) -> Path:
        """The folder of one service's data; the service creates it."""
        return self._under("data") / name

    def log(self, name: str) -> Path:
        return self._under("logs") / f"{name}.log"

    @contextlib.contextmanager
    def claim(self) -> Iterator[None]:
        """Have the state for this process alone, at most until the process ends; raises StateInUse."""
        lock = FileLock(self.run / "lock", mode=0o600)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise StateInUse(
                f"another process already runs on {self.root}; stop it with `facet down`, "
                "or set FACET_STATE to use another folder"
            ) from None
        try:
            yield
        finally:
            self._release_ports()
            lock.release()

    def port(self, name: str) -> int:
        """The port remembered under this name if it is still free, else a new free one; kept for this process."""
        if held := self._held.get(name):
            return int(held.getsockname()[1])
        ports = self.ports()
        reserved = _reserve(ports[name]) if name in ports else None
        if reserved is None:
            reserved = _reserve_new(avoid=set(ports.values()))
            ports[name] = reserved.getsockname()[1]
            self._remember(ports)
        if sys.platform == "linux":
            self._held[name] = reserved
        else:  # elsewhere a bound socket would keep the server itself out
            reserved.close()
        return ports[name]

    def ports(self) -> dict[str, int]:
        """The remembered ports by name, as they were when last used."""
        try:
            return {str(name): int(port) for name, port in json.loads((self.root / "ports.json").read_text()).items()}
        except (FileNotFoundError, ValueError):
            return {}

    def _release_ports(self) -> None:
        while self._held:
            self._held.popitem()[1].close()

    def _remember(self, ports: dict[str, int]) -> None:
        target = self.root / "ports.json"
        draft = target.with_suffix(".new")
        draft.write_text(json.dumps(ports, indent=2) + "\n")
        draft.replace(target)

    def _under(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def _reserve(port: int, *, shared: bool = True) -> socket.socket | None:
    """Bind without listening: on Linux a server may still bind the port, while nobody else finds it free."""
    reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):
        if shared:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", port))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return reserved
    reserved.close()
    return None


def _reserve_new(avoid: set[int]) -> socket.socket:
    for port in random.sample(PORTS, 1000):
        if port not in avoid and (reserved := _reserve(port, shared=False)):
            return reserved
    raise OSError(f"no free port between {PORTS.start} and {PORTS.stop} on 127.0.0.1")
