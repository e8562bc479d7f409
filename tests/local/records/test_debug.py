"""`--debug`, `--honest-cold` and `facet vscode`."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from local import cli
from local.cloud import debug_ports
from local.cloud.debug_ports import NoPort
from tests.local.debugger import debugging
from tests.local.records.conftest import Project
from tests.stacks import PROJECT, free_port, until

BODY = ["--body", '{"name": "Ada"}']


@contextmanager
def waiting(sample: Project, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command that waits for a debugger, and the port it waits on."""
    command = [sys.executable, "-m", "local", *arguments, "--debug", "--port", str(free_port())]
    command += ["--template", str(sample.template)]
    with subprocess.Popen(
        command, cwd=PROJECT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr
            said = process.stderr.readline()
            port = re.search(r"Waiting for a debugger on 127\.0\.0\.1:(\d+)", said)
            assert port, said
            yield process, int(port[1])
        finally:
            process.kill()


def line_of(sample: Project, text: str) -> tuple[Path, int]:
    file = sample.folder / "src" / "app.py"
    (number,) = [at for at, line in enumerate(file.read_text().splitlines(), 1) if text in line]
    return file, number


@pytest.mark.parametrize("verb", ["invoke", "replay"])
def test_a_call_stops_where_a_debugger_says(sample: Project, verb: str) -> None:
    what = ["greet", *BODY] if verb == "invoke" else [sample.ask("POST", "/greet", json={"name": "Ada"})]
    with waiting(sample, verb, *what) as (process, port):
        file, line = line_of(sample, "return answered(200")
        with debugging(port) as debugger:
            debugger.attach(file, line)
            assert debugger.stopped_at()[1] == line
            debugger.go_on()
            debugger.wait_for_end()
        output, _ = process.communicate(timeout=60)
    assert "hello Ada" in output


def test_whoever_leaves_a_waiting_call_frees_its_port(sample: Project) -> None:
    with waiting(sample, "invoke", "greet", *BODY) as (process, port):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    until(lambda: not listening(port), within=30, what="nothing listens any more")


def listening(port: int) -> bool:
    connections = psutil.net_connections("tcp4")
    return any(each.status == psutil.CONN_LISTEN and each.laddr[1:] == (port,) for each in connections)


def test_a_taken_port_gives_way_to_the_next() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        found = debug_ports.of([f"one:{port}", f"two:{port}"])
        assert port not in found.values()
        assert len(set(found.values())) == 2


def test_ports_are_counted_up_from_the_usual_one() -> None:
    given = ["one", "two:6000", "three"]
    assert debug_ports.of(given, debug_ports.upwards) == {"one": 5678, "two": 6000, "three": 5679}


@pytest.mark.parametrize("given", ["one:", "one:x", "one:0", "one:70000"])
def test_what_is_no_port_is_refused(given: str) -> None:
    with pytest.raises(NoPort, match="is not NAME or NAME:PORT"):
        debug_ports.of([given])


def test_an_honestly_cold_call_tells_what_the_imports_took(sample: Project) -> None:
    done = sample.facet("invoke", "greet", *BODY, "--honest-cold")
    assert "hello Ada" in done.stdout
    assert re.search(r"^cold start \d+ ms$", done.stderr, re.MULTILINE)
    assert re.search(r"^ +\d+\.\d ms  json$", done.stderr, re.MULTILINE)


def test_a_launch_configuration_is_written_once(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.touch()

    def vscode(*names: str) -> str:
        return CliRunner().invoke(cli.main, ["vscode", *names, "--template", str(template)]).output

    file = tmp_path / ".vscode" / "launch.json"
    assert f"Wrote {file}" in vscode("create_task", "get_task:6000")
    written = json.loads(file.read_text())
    common = {"type": "debugpy", "request": "attach", "justMyCode": False}
    assert written == {
        "version": "0.2.0",
        "configurations": [
            {"name": "Facet: create_task", **common, "connect": {"host": "127.0.0.1", "port": 5678}},
            {"name": "Facet: get_task", **common, "connect": {"host": "127.0.0.1", "port": 6000}},
        ],
    }
    assert '"name": "Facet: attach"' in (said := vscode())
    assert "was left alone" in said
    assert json.loads(file.read_text()) == written


def test_up_refuses_to_debug_what_is_not_there(sample: Project, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "up", "--only", "functions", "--debug", "nope"]
    command += ["--template", str(sample.template)]
    environment = {**os.environ, "FACET_STATE": str(tmp_path)}
    refused = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, "There are: erase, fail, greet, sign_in" in refused.stderr) == (1, True)
