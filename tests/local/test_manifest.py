"""One description of the functions, whoever asks: the command line, its status, the gateway."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from local import cli, manifest
from local.cloud import background
from local.template import load
from tests.local.emulator.lab import copy_sample

KEYS = "name url host_url routes queues schedules trigger timeout memory reserved_concurrency sandboxes".split()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SECRET_KEY", "a long secret")
    return copy_sample(tmp_path) / "template.yaml"


def test_without_a_running_stack_there_are_no_addresses(project: Path) -> None:
    result = CliRunner().invoke(cli.main, ["functions", "--json", "--template", str(project)])
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert list(rows["echo"]) == KEYS
    assert (rows["echo"]["url"], rows["echo"]["host_url"], rows["echo"]["sandboxes"]) == (None, None, None)
    assert {route["url"] for route in rows["echo"]["routes"]} == {None}
    assert rows["echo"]["trigger"].endswith(f"{len(rows['echo']['routes'])} routes")
    assert rows["consume"]["queues"] == ["results"]
    assert rows["tick"]["schedules"] == ["rate(1 minute)", "cron(30 3 * * ? *)"]
    assert rows["single"]["reserved_concurrency"] == 2


@pytest.mark.parametrize(
    ("gateway", "host_url"),
    [
        ("http://localhost:8080", "http://broken-import.localhost:8080/"),
        ("http://[::1]:8080", "http://broken-import.localhost:8080/"),
        ("http://localhost", "http://broken-import.localhost/"),
        ("http://[::1]", "http://broken-import.localhost/"),
    ],
)
def test_both_addresses_of_a_function_url_are_whole(project: Path, gateway: str, host_url: str) -> None:
    spec = load(project, {"SECRET_KEY": "a long secret"}).functions["broken_import"]
    row = manifest.row(spec, gateway, {"idle": 1, "sandboxes": 2})
    assert (row["url"], row["host_url"]) == (f"{gateway}/fn/broken_import/", host_url)
    assert row["sandboxes"] == {"idle": 1, "sandboxes": 2}


@pytest.mark.parametrize(("given", "shape"), [("http-api", "http"), ("rest", "rest"), ("alb-multi", "alb-multi")])
def test_the_front_of_every_function_reaches_a_detached_stack(
    project: Path, monkeypatch: pytest.MonkeyPatch, given: str, shape: str
) -> None:
    started: list[Sequence[str]] = []
    monkeypatch.setattr(background, "start", lambda found, flags, report: started.append(flags))
    result = CliRunner().invoke(cli.main, ["up", "--detach", "--as", given, "--template", str(project)])
    assert result.exit_code == 0, result.output
    (flags,) = started
    assert flags[flags.index("--as") + 1] == shape


def test_an_unknown_front_is_refused_with_those_there_are(project: Path) -> None:
    result = CliRunner().invoke(cli.main, ["up", "--as", "soap", "--template", str(project)])
    assert result.exit_code == 2
    assert all(name in result.output for name in ("furl", "http", "rest", "alb"))
