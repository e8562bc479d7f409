"""The gateway takes the usual port, or another one and says so."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from local.cloud import listen
from local.cloud.state import State


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_free_port_is_taken(tmp_path: Path, taken: int) -> None:
    said: list[str] = []
    state = State.open(tmp_path)
    wanted = state.port("free")
    state.close()
    sockets = listen.sockets(state, listen.LOOPBACK, wanted, said.append)
    try:
        assert {each.getsockname()[1] for each in sockets} == {wanted}
        assert said == []
    finally:
        for each in sockets:
            each.close()


def test_a_taken_port_is_replaced_by_one_that_is_remembered(tmp_path: Path, taken: int) -> None:
    said: list[str] = []
    chosen = set()
    for _ in range(2):
        state = State.open(tmp_path)
        sockets = listen.sockets(state, listen.LOOPBACK, taken, said.append)
        chosen |= {each.getsockname()[1] for each in sockets}
        for each in sockets:
            each.close()
        state.close()
    assert len(chosen) == 1
    assert taken not in chosen
    assert f"port {taken} cannot be had" in said[0]


def test_bytes_that_are_no_request_are_refused_in_json(tmp_path: Path) -> None:
    async def main() -> bytes:
        listener = socket.create_server(("127.0.0.1", 0))
        async with listen.serving(None, [listener]):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"BREW /coffee HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    head, _, body = asyncio.run(main()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "BAD_REQUEST"


def test_connections_are_kept_for_longer_than_clients_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx lets go after 5 s, botocore's pool after none, browsers and Node's agents within a minute."""
    configured: list[uvicorn.Config] = []
    monkeypatch.setattr(listen._Server, "__init__", lambda server, config: configured.append(config))

    async def serve() -> None:
        with pytest.raises(AttributeError):
            async with listen.serving(None, []):
                pass

    asyncio.run(serve())
    assert configured[0].timeout_keep_alive > 60
