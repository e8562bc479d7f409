"""Where a running Facet keeps its data, logs, records and remembered ports: `.facet/` of the project."""

import json
import os
import random
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Below the range from which outgoing connections take theirs, so that a remembered port is still free tomorrow.
SERVERS = Path(__file__).resolve().parents[2] / ".facet" / "server"
PORTS = range(20_000, 32_000)


class StateUnusable(Exception):
    """The folder of the state cannot be made; the text names it."""


@dataclass(frozen=True)
class State:
    root: Path
    server: Path
    """Unpacked server programs, shared by every state and project that this Facet runs."""
    _taken: dict[str, socket.socket | int] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, project: Path, root: Path | None = None) -> "State":
        """The state of a project: `root`, else FACET_STATE, else `.facet` in it. Raises StateUnusable."""
        chosen = root or Path(os.environ.get("FACET_STATE") or project.resolve() / ".facet")
        state = cls(chosen.resolve(), Path(os.environ.get("FACET_SERVERS") or SERVERS).resolve())
        owners = {os.getuid(), project.stat().st_uid if project.exists() else os.getuid()}  # root may run our project
        try:
            for folder in (state.root, state.run):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if folder.stat().st_uid not in owners:
                    raise StateUnusable(f"{folder} belongs to somebody else. FACET_STATE may name another.")
            if not (ignore := state.root / ".gitignore").exists():
                ignore.write_text("*\n")
        except OSError as exc:
            raise StateUnusable(
                f"{exc.filename} cannot be made: {exc.strerror}. FACET_STATE may name another."
            ) from exc
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

    @property
    def records(self) -> Path:
        """The file of the last invocations, which its writer creates."""
        return self.root / "records" / "ring.db"

    def port(self, name: str) -> int:
        """The port remembered under this name if it is still free, else a new free one; kept for this process."""
        if name not in self._taken:
            ports = self.ports()
            reserved = (_reserve(ports[name], exclusively=False) if name in ports else None) or _reserve_new(ports)
            number = int(reserved.getsockname()[1])
            if ports.get(name) != number:
                self._remember({**ports, name: number})
            self._taken[name] = reserved
            if sys.platform != "linux":  # there a bound socket would keep the server itself out
                reserved.close()
                self._taken[name] = number
        taken = self._taken[name]
        return taken if isinstance(taken, int) else int(taken.getsockname()[1])

    def ports(self) -> dict[str, int]:
        """The remembered ports by name, as they were when last used."""
        try:
            return {str(name): int(port) for name, port in json.loads((self.root / "ports.json").read_text()).items()}
        except (FileNotFoundError, ValueError):
            return {}

    def close(self) -> None:
        """Let go of the ports kept for this process."""
        for taken in self._taken.values():
            if isinstance(taken, socket.socket):
                taken.close()
        self._taken.clear()

    def _remember(self, ports: dict[str, int]) -> None:
        target = self.root / "ports.json"
        draft = target.with_suffix(".new")
        draft.write_text(json.dumps(ports, indent=2) + "\n")
        draft.replace(target)

    def _under(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def _reserve(port: int, *, exclusively: bool) -> socket.socket | None:
    """Bind without listening: on Linux a server may still bind the port, while others do not find it free.

    Not exclusively: accept a port on which connections of an earlier server are still being forgotten.
    """
    reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if not exclusively:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", port))
    except OSError:
        reserved.close()
        return None
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return reserved


def _reserve_new(known: Mapping[str, int]) -> socket.socket:
    for port in random.sample(PORTS, 1000):
        if port not in known.values() and (reserved := _reserve(port, exclusively=True)):
            return reserved
    raise OSError(f"no free port from {PORTS.start} to {PORTS.stop - 1} on 127.0.0.1")
