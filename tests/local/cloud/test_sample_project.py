"""`facet up --template` on somebody else's project: a copy of the sample, as it is."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from local.cloud.state import SERVERS
from tests.stacks import PRODUCT_SETTINGS, PROJECT, free_port, until

SAMPLE = PROJECT / "tests" / "sample_project"
Facet = Callable[..., str]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(SAMPLE, tmp_path_factory.mktemp("home") / "shop")


def facet_of(project: Path) -> Facet:
    """The command line on a project, with ports of its own and nothing else of ours in the environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PRODUCT_SETTINGS)}
    servers = os.environ.get("FACET_SERVERS", str(SERVERS))
    own = {"FACET_SERVERS": servers, "APP_PORT": str(free_port()), "EDGE_PORT": str(free_port()), "CURRENCY": "USD"}

    def call(*arguments: str) -> str:
        command = [sys.executable, "-m", "local", *arguments, "--template", str(project / "template.yaml")]
        done = subprocess.run(
            command, cwd=PROJECT, env=inherited | own, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return call


@pytest.fixture(scope="module")
def facet(shop: Path) -> Facet:
    return facet_of(shop)


@pytest.fixture(scope="module")
def said(facet: Facet) -> Iterator[str]:
    """What the start printed; the project runs."""
    try:
        yield facet("up", "--detach")
    finally:
        facet("down")


@pytest.fixture(scope="module")
def http(facet: Facet, said: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=json.loads(facet("status", "--json"))["gateway"], timeout=30, trust_env=False) as client:
        yield client


def test_its_routes_and_function_urls_answer_with_its_cors(http: httpx.Client) -> None:
    expected = {"order": "7", "price": 70, "currency": "USD"}
    assert http.get("/orders/7").json() == expected
    assert http.get("/v1/orders/7").json() == expected
    response = http.get("/fn/orders/", headers={"origin": "https://shop.example"})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "https://shop.example")


def test_only_the_services_it_needs_run_and_no_agent(facet: Facet, said: str) -> None:
    assert set(json.loads(facet("status", "--json"))["services"]) == {"epmd", "rabbitmq"}
    assert "agent" not in said


def test_its_folder_gets_the_state_and_nothing_else(shop: Path, said: str) -> None:
    assert {path.name for path in shop.iterdir()} == {path.name for path in SAMPLE.iterdir()} | {".facet"}


def test_the_queue_nobody_declared_is_there_and_a_message_is_consumed(
    facet: Facet, shop: Path, said: str, tmp_path: Path
) -> None:
    assert "queue orders: nobody had declared it" in said
    (tmp_path / "order").write_text("12")
    facet("send", "orders", str(tmp_path / "order"))
    until((shop / ".facet/logs/functions/packing.log").exists, within=20, what="packing is invoked")
    until(lambda: "packed order 12 worth 120" in facet("logs", "packing"), within=20, what="the order is packed")


def test_its_schedule_runs(facet: Facet, shop: Path, said: str) -> None:
    until((shop / ".facet/logs/functions/report.log").exists, within=20, what="report is invoked")
    until(lambda: ": 10" in facet("logs", "report"), within=20, what="the report of the minute")


def test_a_function_is_invoked_from_the_command_line(facet: Facet, shop: Path, said: str) -> None:
    assert '\\"price\\": 80' in facet("invoke", "orders", "--event", str(shop / "event.json"), "--no-check")


def test_an_edit_takes_effect_at_once(http: httpx.Client, shop: Path) -> None:
    prices = shop / "layers" / "shop" / "python" / "shop" / "prices.py"
    http.get("/orders/7")
    prices.write_text(prices.read_text().replace("* 10", "* 11"))
    until(lambda: http.get("/orders/7").json()["price"] == 77, within=30, what="the new price")


def test_without_a_queue_it_has_no_services(tmp_path: Path) -> None:
    project = shutil.copytree(SAMPLE, tmp_path / "shop")
    text = (project / "template.yaml").read_text()
    before, rest = text.split("  PackingFunction:")
    (project / "template.yaml").write_text(f"{before}  ReportFunction:{rest.partition('  ReportFunction:')[2]}")
    facet = facet_of(project)
    try:
        facet("up", "--detach")
        assert json.loads(facet("status", "--json"))["services"] == {}
        assert not (project / ".facet" / "data" / "rabbitmq").exists()
    finally:
        facet("down")
