"""Folders and remembered ports of one running Facet."""

import json
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.cloud.state import PORTS, State, StateUnusable

Open = Callable[[str], State]


@pytest.fixture
def open_state(tmp_path: Path) -> Iterator[Open]:
    """Opens states of that name as separate processes would: each call anew."""
    states: list[State] = []

    def open_one(name: str) -> State:
        states.append(State.open(tmp_path, tmp_path / name))
        return states[-1]

    yield open_one
    for state in states:
        state.close()


def test_the_state_is_in_the_project_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACET_STATE", raising=False)
    monkeypatch.delenv("FACET_SERVERS", raising=False)
    state = State.open(tmp_path)
    assert state.root == tmp_path / ".facet"
    assert (state.root / ".gitignore").read_text() == "*\n"
    folders = [state.root, state.run, state.data("x").parent, state.log("x").parent]
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_every_state_shares_the_servers_of_this_facet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACET_SERVERS", raising=False)
    monkeypatch.setenv("FACET_STATE", str(tmp_path / "elsewhere"))
    state = State.open(tmp_path / "project")
    assert state.root == tmp_path / "elsewhere"
    assert state.server == Path(__file__).parents[2] / ".facet" / "server"
    assert state.data("postgres") == tmp_path / "elsewhere" / "data" / "postgres"


def test_the_folder_of_servers_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACET_SERVERS", str(tmp_path / "servers"))
    assert State.open(tmp_path).server == tmp_path / "servers"


def test_a_port_is_the_same_within_a_run_and_in_the_next(open_state: Open) -> None:
    first = open_state("one")
    port = first.port("postgres")
    assert first.port("postgres") == port
    first.close()
    assert open_state("one").port("postgres") == port
    assert first.ports() == {"postgres": port}


def test_ports_differ_by_name_and_avoid_the_standard_ones(open_state: Open) -> None:
    state = open_state("one")
    ports = {state.port(str(number)) for number in range(50)}
    assert len(ports) == 50
    assert ports <= set(PORTS)
    assert not {5432, 5672, 8080, 9000, 15672} & set(PORTS)


def test_a_remembered_port_that_was_taken_is_replaced_and_the_new_one_remembered(open_state: Open) -> None:
    state = open_state("one")
    old = state.port("postgres")
    state.close()
    with socket.create_server(("127.0.0.1", old)):
        new = open_state("one").port("postgres")
    assert new != old
    assert state.ports() == {"postgres": new}


def test_a_port_is_reused_while_old_connections_to_it_are_being_forgotten(open_state: Open) -> None:
    state = open_state("one")
    port = state.port("postgres")
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(("127.0.0.1", port)):
        server.accept()[0].close()  # the side that closes first keeps the connection in TIME_WAIT
    state.close()
    assert open_state("one").port("postgres") == port


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a server listen on a port reserved like this")
def test_a_port_is_kept_for_its_server_from_the_moment_it_is_chosen(open_state: Open) -> None:
    port = open_state("one").port("postgres")
    (open_state("two").root / "ports.json").write_text(json.dumps({}))
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_an_unreadable_list_of_ports_is_made_anew(open_state: Open) -> None:
    state = open_state("one")
    (state.root / "ports.json").write_text('{"postgres": ')
    port = state.port("postgres")
    assert json.loads((state.root / "ports.json").read_text()) == {"postgres": port}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused_unless_the_project_is_theirs(tmp_path: Path) -> None:
    project, theirs = tmp_path / "project", tmp_path / "state"
    project.mkdir()
    theirs.mkdir()
    os.chown(theirs, 65534, -1)
    with pytest.raises(StateUnusable, match="belongs to somebody else"):
        State.open(project, theirs)
    os.chown(project, 65534, -1)
    assert State.open(project, theirs).root == theirs
