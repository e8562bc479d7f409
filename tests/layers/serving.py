"""A project of a few functions, and processes that serve it as an operator would start them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from facet.serve import NEEDED

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0

HANDLERS = {
    "echo": """
import os
from facet.function import Function
from facet.http import Request
app = Function("echo")
@app.endpoint("GET", "/echo")
@app.endpoint("POST", "/echo")
def echo(request: Request) -> dict:
    return {"pid": os.getpid(), "bytes": len(request.body), "query": request.query, "from": request.source_ip}
""",
    "gate": """
import os, time
from pathlib import Path
from facet.function import Function
app = Function("gate")
@app.endpoint("GET", "/gate/{name}")
def gate(name: str) -> dict:
    '''It is let in, and out again when somebody opens the gate.'''
    folder = Path(os.environ["GATES"])
    (folder / f"{name}.entered").touch()
    while not (folder / f"{name}.open").exists():
        time.sleep(0.01)
    return {"through": name}
""",
    "tick": """
from facet import log
from facet.function import Function
app = Function("tick")
@app.scheduled
def tick(now) -> None:
    log.get().warning("tick at %s", now.isoformat())
""",
    "add": """
from pydantic import BaseModel
from facet.function import Function
app = Function("add")
class Terms(BaseModel):
    one: int
    other: int = 0
@app.internal(body=Terms)
def add(body: Terms) -> dict:
    print("adding")
    if body.one < 0:
        raise RuntimeError("password=hunter2 at postgres://me:hunter2@db/x")
    return {"sum": body.one + body.other, "word": "fünf"}
""",
    "eat": """
from facet.function import Function
app = Function("eat")
@app.consumer
def eat(message) -> None: ...
""",
}


def project(folder: Path) -> Path:
    for name, text in HANDLERS.items():
        (folder / "functions" / name).mkdir(parents=True)
        (folder / "functions" / name / "handler.py").write_text(text)
    return folder


def settings(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a process in that project: everything is set, and nothing is there."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "layers" / "facet" / "python")]),
        **dict.fromkeys(map(str.upper, NEEDED), "k" * 64),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "GATES": str(folder),
        **more,
    }


def until(condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
    return found


def open_gate(folder: Path, name: str) -> None:
    (folder / f"{name}.open").touch()


def entered(folder: Path, name: str) -> bool:
    return (folder / f"{name}.entered").exists()


class Served:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def text(self) -> str:
        return self._log.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, whole lines only."""
        return [json.loads(line) for line in self.text.splitlines(keepends=True) if line.endswith("\n")]

    @property
    def port(self) -> int:
        return int(next(line["port"] for line in self.lines if line["message"] == "serving"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def running(
    folder: Path, command: Sequence[str], environment: Mapping[str, str], log: Path, *, until_it_says: str
) -> Iterator[Served]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=output, stderr=output)
    served = Served(process, log)
    try:
        until(lambda: until_it_says in served.text or process.poll() is not None)
        assert process.poll() is None, served.text
        yield served
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def serving(folder: Path, *names: str, log: str = "log", **environment: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "facet.serve", *names]
    with running(folder, command, settings(folder, **environment), folder / log, until_it_says='"serving"') as served:
        yield served


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One that ends by itself."""
    command = [sys.executable, "-m", *arguments]
    made = {name: value for name, value in settings(folder, **environment).items() if value}
    return subprocess.run(command, cwd=folder, env=made, capture_output=True, text=True, timeout=60, check=False)
