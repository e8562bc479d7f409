"""How `python -m facet.serve` is started, in how many processes, and what other servers make of the same functions."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import httpx
import pytest
from pydantic.fields import FieldInfo

from facet.options import Options, WrongOption
from facet.serve import NEEDED
from facet.settings import Settings
from tests.layers import serving
from tests.layers.serving import PATIENCE, Served, entered, open_gate, settings, started, until

GUNICORN = ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket"]
TICK = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/clock", "ce-type": "tick"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.project(tmp_path_factory.mktemp("project"))


def pid_of(served: Served) -> int:
    """Of the process that answers a new connection."""
    return int(httpx.get(f"{served.url}/echo", timeout=PATIENCE, trust_env=False).json()["pid"])


def pids(served: Served, count: int) -> set[int]:
    found: set[int] = set()

    def all_known() -> bool:
        found.add(pid_of(served))
        return len(found) == count

    until(all_known)
    return found


def is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # it may go between the opening and the reading
        return False


# ---- processes


@pytest.fixture
def two(folder: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving.serving(folder, log=request.node.name, WEB_CONCURRENCY="2") as served:
        yield served


def test_several_processes_serve_one_port_and_end_together(two: Served) -> None:
    found = pids(two, 2)
    assert two.process.pid not in found
    assert two.stop() == 0
    assert not [pid for pid in found if is_there(pid)]


def test_nobody_is_let_in_while_processes_end(two: Served, folder: Path) -> None:
    def is_closed() -> bool:
        try:
            two.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    address = f"{two.url}/gate/ending"
    with ThreadPoolExecutor() as pool:
        last = pool.submit(httpx.get, address, timeout=2 * PATIENCE, trust_env=False)
        until(lambda: entered(folder, "ending"))
        two.process.send_signal(signal.SIGTERM)
        try:
            until(is_closed)
            assert two.process.poll() is None
        finally:
            open_gate(folder, "ending")
        assert last.result().status_code == 200
    assert two.wait() == 0


def test_a_process_that_ends_by_itself_is_replaced(two: Served) -> None:
    found = pids(two, 2)
    os.kill(min(found), signal.SIGKILL)
    until(lambda: pid_of(two) not in found)
    assert [line["exit_code"] for line in two.lines if "replaced" in line["message"]] == [-signal.SIGKILL]


def test_no_process_outlives_the_one_that_began_it(two: Served) -> None:
    found = pids(two, 2)
    two.process.kill()
    until(lambda: not any(map(is_there, found)))


def test_each_process_finishes_what_runs_in_it(two: Served, folder: Path) -> None:
    names = [f"both{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        running = [
            pool.submit(httpx.get, f"{two.url}/gate/{name}", timeout=PATIENCE, trust_env=False) for name in names
        ]
        until(lambda: all(entered(folder, name) for name in names))
        two.process.send_signal(signal.SIGTERM)
        for name in names:
            open_gate(folder, name)
        assert [each.result().status_code for each in running] == [200] * 8
    assert two.wait() == 0


# ---- functions alone


def test_a_function_with_a_schedule_gets_its_events_when_it_is_served_alone(folder: Path) -> None:
    with serving.serving(folder, "tick", log="tick") as served, served.http() as http:
        assert http.post("/", headers={**TICK, "ce-time": "2026-01-02T03:04:05Z"}).status_code == 204
        assert http.get("/").status_code == 404
        assert http.get("/_/ready").status_code == 200
    assert "tick at 2026-01-02T03:04:05+00:00" in [line["message"] for line in served.lines]


def test_the_names_may_stand_in_the_environment(folder: Path) -> None:
    with serving.serving(folder, log="named", FACET_FUNCTION="echo, gate") as served, served.http() as http:
        assert http.get("/echo").status_code == 200
        assert http.post("/", headers=TICK).status_code == 404


# ---- what keeps it from starting


def test_all_settings_without_a_default_are_asked_for_but_those_that_have_another_instead() -> None:
    instead = {"minio_public_url", "minio_signing_secret_key"}
    assert {name for name, field in Settings.model_fields.items() if is_needed(field)} - instead == set(NEEDED)


def is_needed(field: FieldInfo) -> bool:
    return field.default is None and type(None) not in get_args(field.annotation)


@pytest.mark.parametrize(
    ("names", "environment", "said"),
    [
        (["nobody"], {}, "There is no function nobody. There are: add, eat, echo, gate, tick."),
        (["add"], {}, "add has no endpoint: python -m facet.invoke add"),
        (["echo", "tick", "eat"], {}, "Without an endpoint: tick, eat."),
        ([], {"SECRET_KEY": "", "MINIO_HOST": ""}, "Not set: MINIO_HOST, SECRET_KEY."),
        (["echo"], {"LOG_LEVEL": "LOUD"}, "LOG_LEVEL: Input should be"),
        (["echo"], {"PORT": "http"}, "PORT is 'http', and has to be a whole number from 0 to 65535."),
        (["echo"], {"FACET_THREADS": "0"}, "FACET_THREADS is '0', and has to be a whole number from 1"),
        (["echo"], {"HOST": "256.0.0.1"}, "HOST 256.0.0.1, PORT 0 cannot be had"),
    ],
)
def test_what_keeps_it_from_starting_is_told_in_a_line(
    folder: Path, names: list[str], environment: dict[str, str], said: str
) -> None:
    ended = started(folder, "facet.serve", *names, **environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("facet.serve: ")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with serving.serving(folder, "echo", log="first") as served:
        ended = started(folder, "facet.serve", "echo", PORT=str(served.port))
    assert ended.returncode == 1
    assert f"HOST 127.0.0.1, PORT {served.port} cannot be had (Address already in use)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_function_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    broken = serving.project(tmp_path) / "functions" / "broken"
    broken.mkdir()
    (broken / "handler.py").write_text("import nothing_of_that_name")
    ended = started(tmp_path, "facet.serve")
    assert ended.returncode == 1
    assert "The function broken cannot be imported (ModuleNotFoundError: No module named" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_options_have_defaults() -> None:
    assert Options.read({}) == Options(["all"], "0.0.0.0", 8080, 1, 8, 30.0, 25.0)  # noqa: S104  # in a container
    assert Options.read({"FACET_FUNCTION": "a b"}, ["c"]).names == ["c"]


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Options.read({"FACET_TIMEOUT": ""}).timeout == 30.0


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e99", "ten"])
def test_a_time_is_a_number_of_seconds(value: str) -> None:
    with pytest.raises(WrongOption, match="FACET_TIMEOUT is"):
        Options.read({"FACET_TIMEOUT": value})


# ---- other servers


def test_uvicorn_serves_the_application(folder: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "--factory", "facet.serve:application", "--port", "0"]
    with serving.running(folder, command, settings(folder), folder / "uvicorn", until_it_says="running on") as served:
        url = served.text.split("running on ")[1].split()[0]
        assert httpx.get(f"{url}/api/v1/echo?a=1", timeout=PATIENCE, trust_env=False).json()["query"] == [["a", "1"]]
        assert httpx.get(f"{url}/_/ready", trust_env=False).status_code == 200


def test_gunicorn_serves_the_wsgi_application(folder: Path) -> None:
    command = [sys.executable, "-m", *GUNICORN, "--threads", "2", "facet.serve:wsgi()"]
    with serving.running(folder, command, settings(folder), folder / "gunicorn", until_it_says="Booting") as served:
        url = served.text.split("Listening at: ")[1].split()[0]
        for given in (b"abcd", iter([b"ab", b"cd"])):
            answer = httpx.post(f"{url}/api/v1/echo?a=1%26", content=given, timeout=PATIENCE, trust_env=False)
            assert (answer.json()["bytes"], answer.json()["query"]) == (4, [["a", "1&"]])
        assert httpx.get(f"{url}/gate%2Fx", trust_env=False).status_code == 404


@pytest.mark.parametrize("wrong", [{"FACET_FUNCTION": "nobody"}, {"LOG_LEVEL": "LOUD"}, {"FACET_TIMEOUT": "soon"}])
@pytest.mark.parametrize(
    ("command", "code"),
    [(["uvicorn", "--factory", "facet.serve:application"], 1), ([*GUNICORN, "facet.serve:wsgi()"], 4)],
)
def test_another_server_ends_and_tells_in_a_line_why(
    folder: Path, command: list[str], code: int, wrong: dict[str, str]
) -> None:
    ended = started(folder, *command, **wrong)
    assert ended.returncode == code
    assert "\nfacet.serve: " in f"\n{ended.stderr}"
    assert "Traceback" not in ended.stderr
