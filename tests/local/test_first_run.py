"""What somebody reads at a first run that fails: what happened, why, and the next command. Never a traceback."""

import contextlib
import errno
import os
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from local import cli, failures
from local.cloud import doctor, listen, machine, project
from local.cloud.state import State
from local.services import postgres, rabbitmq_server
from local.services.process import ServiceFailed
from tests.stacks import PROJECT

Facet = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A project of two lines, in which `facet` is called."""
    (tmp_path / "app.py").write_text("def handler(event, context):\n    return event\n")
    (tmp_path / "template.yaml").write_text(
        "Resources:\n  EchoFunction:\n    Type: AWS::Serverless::Function\n"
        "    Properties: { CodeUri: ., Handler: app.handler, Runtime: python3.13 }\n"
    )
    return tmp_path


@pytest.fixture
def facet(here: Path, monkeypatch: pytest.MonkeyPatch) -> Facet:
    monkeypatch.setenv("FACET_STATE", str(here / "state"))
    monkeypatch.setenv("FACET_ENV_FILE", str(here / ".env"))
    monkeypatch.chdir(here)
    return lambda *arguments: CliRunner().invoke(cli.main, arguments)


def settings(here: Path, text: str) -> None:
    (here / ".env").write_text(text)
    (here / ".env").chmod(0o600)


def needing(template: str, parameter: str) -> str:
    """The template, its function having a variable from a parameter without a value."""
    variables = f"Environment: {{ Variables: {{ VALUE: !Ref {parameter} }} }}"
    text = template.replace("python3.13 }", f"python3.13, {variables} }}")
    return f"Parameters: {{ {parameter}: {{ Type: String }} }}\n{text}"


def failed(result: Result, *texts: str) -> None:
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output
    for text in texts:
        assert text in result.output


# ---- Python and its packages ---------------------------------------------------------------------------------------


def test_a_python_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later, this is 3\.10\. next: make up PYTHON="):
        runpy.run_path(str(PROJECT / "local/__init__.py"))


def test_an_environment_without_packages(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "local", "status"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "The package click is missing from this Python: next: `make up`" in done.stderr


def test_a_package_that_is_missing(facet: Facet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)  # as an import that fails
    failed(facet("demo", "app.py"), "The package rich.progress is missing from this Python", "next: `make up`")


def test_packages_of_another_version(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = here / "requirements.lock"
    lock.write_text("click==0.0.1 \\\n    --hash=x\nnowhere==1.0 \\\nuvloop==9.9 ; sys_platform == 'plan9' \\\n")
    monkeypatch.setattr(machine, "_LOCK", lock)
    [finding] = machine.packages(project.find(start=here))
    assert finding.failed
    assert "click 8." in finding.detail
    assert "nowhere is missing" in finding.detail
    assert "make up" in finding.advice


# ---- the project ---------------------------------------------------------------------------------------------------


def test_no_template_here(facet: Facet, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").unlink()
    failed(facet("up"), f"There is no template.yaml in {tmp_path} or above it", "pass --template FILE")


def test_a_handler_that_is_no_python_is_told_by_line_and_the_rest_runs(facet: Facet, here: Path) -> None:
    (here / "app.py").write_text("def handler(event, context)\n    return event\n")
    result = facet("up", "--only", "migrate")
    assert "EchoFunction: its handler cannot be imported" in result.output
    assert "line 1" in result.output
    assert result.exit_code == 0


def test_a_package_that_is_not_installed_is_told(facet: Facet, here: Path) -> None:
    (here / "beside").mkdir()
    source = "import os, nowhere.at_all\nfrom beside import it\ndef handler(event, context):\n    return event\n"
    (here / "app.py").write_text(source)
    result = facet("up", "--only", "migrate")
    assert f"EchoFunction: there is no module nowhere. Install its package for {sys.executable}." in result.output
    assert result.exit_code == 0


def test_a_setting_without_a_value(facet: Facet, here: Path) -> None:
    template = here / "template.yaml"
    template.write_text(needing(template.read_text(), "ShopKey"))
    failed(facet("up", "--only", "functions"), "These settings have no value: SHOP_KEY. Put them into")


def test_an_unknown_function_and_an_unknown_verb(facet: Facet) -> None:
    failed(facet("invoke", "ecko"), "There is no function ecko. There are: echo. Did you mean echo?")
    misspelt = facet("stauts")
    assert (misspelt.exit_code, "Did you mean" in misspelt.output) == (2, True)


def test_nothing_runs(facet: Facet) -> None:
    failed(facet("invoke", "echo"), "Facet is not running here. Start it with `facet up`.")


# ---- .env ----------------------------------------------------------------------------------------------------------


def test_an_env_that_cannot_be_read(facet: Facet, here: Path) -> None:
    (here / ".env").mkdir()
    failed(facet("up"), ".env cannot be read: Is a directory", "next: make it a file that you may read")


def test_an_env_that_is_malformed(facet: Facet, here: Path) -> None:
    settings(here, "A=1\n= nothing\n")
    failed(facet("up"), ".env, line 2, is not NAME=value; next: correct it")


@pytest.mark.parametrize("value", ["changeme", "<your secret>", "x" * 40, "password123", "example", "your_key_here"])
def test_secrets_that_are_none(facet: Facet, here: Path, value: str) -> None:
    settings(here, f"SECRET_KEY={value}\nRABBITMQ_PASSWORD=0f8e1d7c\n")
    for verb in (("doctor",), ("up", "--only", "migrate")):
        output = facet(*verb).output
        assert f"SECRET_KEY in {here / '.env'}: that is a placeholder, no secret" in output
        assert "openssl rand -hex 32" in output
        assert value not in output.replace(str(here), "")


def test_a_secret_that_is_short(facet: Facet, here: Path) -> None:
    settings(here, "SECRET_KEY=5eb63bbbe01eeed0\n")
    assert "SECRET_KEY in" in facet("doctor").output
    assert "shorter than 32 characters" in facet("doctor").output


def test_secrets_that_others_can_read(facet: Facet, here: Path) -> None:
    settings(here, "SECRET_KEY=\n")
    (here / ".env").chmod(0o640)
    assert f"chmod 600 {here / '.env'}" in facet("up", "--only", "migrate").output


# ---- the machine ---------------------------------------------------------------------------------------------------


def test_a_state_folder_that_cannot_be_made(facet: Facet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_STATE", "/proc/nowhere")
    failed(facet("up"), "/proc/nowhere cannot be made", "FACET_STATE may name another")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "No space left on device\nnext: free some space; `facet doctor` tells how much there is"),
        (
            errno.EACCES,
            "Permission denied\nnext: give yourself the right to it, or let FACET_STATE name another",
        ),
        (errno.EROFS, "Read-only file system\nnext: let FACET_STATE name a folder that can be written"),
        (errno.EMFILE, "Too many open files\nnext: allow more open files: ulimit -n 4096"),
    ],
)
def test_what_the_system_refuses(number: int, advice: str) -> None:
    refusal = OSError(number, os.strerror(number), "/state/data")
    assert failures.told(ExceptionGroup("services", [refusal])) == f"/state/data: {advice}"


def test_a_fault_of_our_own_is_called_one_and_its_traceback_is_for_who_asks(
    facet: Facet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("local.cloud.doctor.examine", broken)
    failed(facet("doctor"), "This is a fault of Facet's own: ZeroDivisionError: by nothing", "`facet --debug …`")
    assert isinstance(facet("--debug", "doctor").exception, ZeroDivisionError)
    monkeypatch.setenv("FACET_DEBUG", "1")
    assert isinstance(facet("doctor").exception, ZeroDivisionError)


def test_a_clock_that_is_behind_what_was_written(facet: Facet, here: Path) -> None:
    facet("status")
    tomorrow = time.time() + 86_400
    os.utime(here / "state/run", (tomorrow, tomorrow))
    failed(facet("doctor"), "was written 86,", "Set the clock (NTP)")


def test_a_port_that_is_taken_is_replaced_and_told(here: Path) -> None:
    told: list[str] = []
    state = State.open(here, here / "state")
    with contextlib.closing(state), socket.create_server(("127.0.0.1", 0)) as other:
        wanted = other.getsockname()[1]
        found = listen.sockets(state, "127.0.0.1", wanted, told.append)
        port = found[0].getsockname()[1]
    for each in found:
        each.close()
    assert told == [f"gateway: port {wanted} cannot be had (Address already in use); using {port}"]


# ---- services ------------------------------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize(
    ("service", "host", "port"),
    [("PostgresHost", "POSTGRES_HOST", "POSTGRES_PORT"), ("RabbitmqHost", "RABBITMQ_HOST", "RABBITMQ_PORT")],
)
def test_a_server_of_yours_that_does_not_answer(
    facet: Facet, here: Path, closed_port: int, service: str, host: str, port: str
) -> None:
    template = here / "template.yaml"
    template.write_text(needing(template.read_text(), service))
    settings(here, f"{host}=127.0.0.1\n{port}={closed_port}\nPOSTGRES_PASSWORD=5f1c\nRABBITMQ_PASSWORD=5f1c\n")
    failed(facet("up", "--only", "services"), f"{host} points to 127.0.0.1:{closed_port}, but", "next: start that")
    failed(facet("doctor"), f"yours, at 127.0.0.1:{closed_port}, does not answer", f"correct {host} in .env")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"PG_VERSION": "12\n", "global/pg_control": ""}, "was written by PostgreSQL 12, this is 18\nnext: dump it"),
        ({"PG_VERSION": "18\n"}, "is damaged: files of it are missing\nnext: put them back from a backup"),
        ({}, "is damaged: files of it are missing\nnext: put them back from a backup"),
    ],
)
async def test_data_that_this_postgres_cannot_use(tmp_path: Path, files: dict[str, str], text: str) -> None:
    state = State.open(tmp_path, tmp_path / "state")
    for name, content in files.items():
        file = state.data("postgres") / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (state.data("postgres") / "data").mkdir(parents=True, exist_ok=True)
    with contextlib.closing(state), pytest.raises(ServiceFailed) as failure:
        await postgres.prepare(state, print)
    assert text in str(failure.value)
    assert "facet reset" in str(failure.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("apt", "text"),
    [
        (None, "there is no apt-get here, so this is not Debian or Ubuntu"),
        ("echo 'E: Temporary failure resolving' >&2; exit 100", "cannot download the packages: E: Temporary failure"),
    ],
)
async def test_a_broker_that_cannot_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apt: str | None, text: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, script in (("apt-get", apt), ("dpkg", "exit 0")):
        if script:
            (programs / name).write_text(f"#!/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("FACET_SERVERS", str(tmp_path / "servers"))
    monkeypatch.setattr(rabbitmq_server, "PACKAGED", tmp_path)
    with pytest.raises(ServiceFailed) as failure:
        await rabbitmq_server.find(State.open(tmp_path, tmp_path / "state"), lambda line: None)
    assert text in str(failure.value)
    assert "set RABBITMQ_HOST in .env to a broker of yours, or run the containers with `make deploy`" in str(
        failure.value
    )


def test_an_agent_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    finding = next(each for each in doctor.examine(project.find(start=PROJECT)) if each.name == "agent")
    assert "its packages are missing: tasks stay PENDING" in finding.detail
    assert "`make up` installs them" in finding.advice


# ---- make ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("docker", "text"),
    [
        (None, "There is no Docker with Compose here, or you may not use it."),
        ("[ $1 = compose ]", "Docker is installed, but its daemon does not answer."),
    ],
)
def test_containers_without_docker(tmp_path: Path, docker: str | None, text: str) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "make", "grep"):
        (programs / name).symlink_to(str(shutil.which(name)))
    if docker:
        (programs / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (programs / "docker").chmod(0o755)
    done = subprocess.run(
        ["make", "deploy"], cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert text in done.stdout
    assert not (tmp_path / ".env").exists()
