"""`facet up` in a terminal: the screen shows what runs, and leaves the terminal as it was."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.local.cloud.terminal import Terminal, terminal
from tests.stacks import PRODUCT_SETTINGS, PROJECT, free_port

SHOP = PROJECT / "tests/local/testing/shop/template.yaml"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
FUNCTIONS = ("--only", "functions")


@contextmanager
def up(folder: Path, *options: str, term: str = "xterm-256color") -> Iterator[Terminal]:
    """`facet up` of the shop in a terminal; ready."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name == "FACET_SERVERS" or not name.startswith((*PRODUCT_SETTINGS, "COLUMNS", "LINES"))
    }
    own = {"TERM": term, "FACET_STATE": str(folder / "state"), "FACET_ENV_FILE": str(folder / ".env")}
    nowhere = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_USER": "nobody", "RABBITMQ_PASSWORD": "nothing"}
    environment = {**inherited, **own, "APP_PORT": str(free_port()), "EDGE_PORT": str(free_port())}
    if FUNCTIONS[0] in options:
        environment |= nowhere
    command = [sys.executable, "-m", "local", "up", "--template", str(SHOP), *options]
    with terminal(command, cwd=PROJECT, env=environment) as shown:
        shown.until("  ready", within=100)  # not an address already in use
        yield shown


def gateway(shown: Terminal) -> str:
    """Where it answers: another test may have taken the port meanwhile."""
    found = re.search(r"api(?:\x1b\[[\d;]*m|[\s:])*(http://localhost:\d+)", shown.raw)
    assert found, shown.raw
    return found[1]


def test_the_screen_shows_services_and_the_last_invocation_and_restores_the_terminal(tmp_path: Path) -> None:
    with up(tmp_path) as shown:
        assert HIDE in shown.raw
        modes = shown.modes()
        shown.until("rabbitmq running")
        shown.until("orders 0")
        before = len(shown.raw)
        with httpx.Client(base_url=f"{gateway(shown)}/fn/place_order", timeout=30) as http:
            statuses = {http.post("/", json={"item": "cup"}).status_code for _ in range(200)}
        assert statuses == {201}
        frame = shown.until("201 invocations", since=before)  # with that of the migration
        assert "POST /fn/place_order/" in frame
        assert frame.count("Facet       ready") < 100  # it is not drawn for each of them
        shown.process.send_signal(signal.SIGINT)
        assert shown.ended() == 0
        assert shown.modes() == modes
        assert shown.raw.rindex(SHOW) > shown.raw.rindex(HIDE)
        assert "stopping" in shown.raw[before:]
        assert "starting" not in shown.raw[before:]


def test_another_size_of_the_terminal_is_drawn_anew(tmp_path: Path) -> None:
    with up(tmp_path, *FUNCTIONS) as shown:
        shown.until("functions   4")
        before = len(shown.raw)
        shown.resize(50, 12)
        frame = shown.until("functions   4", since=before).split("Facet       ready")[-1]
        assert max(map(len, frame.splitlines())) < 50


@pytest.mark.parametrize(("options", "term"), [(("--plain",), "xterm-256color"), ((), "dumb")])
def test_where_no_screen_is_wanted_or_possible_there_are_lines(
    tmp_path: Path, options: tuple[str, ...], term: str
) -> None:
    with up(tmp_path, *FUNCTIONS, *options, term=term) as shown:
        httpx.post(f"{gateway(shown)}/fn/place_order/", json={"item": "cup"}, timeout=30)
        shown.until("POST /fn/place_order/ 201 place_order")
        assert "\x1b" not in shown.raw
