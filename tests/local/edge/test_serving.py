"""The edge takes LocalStack's port, or another one and says so."""

import asyncio
import socket
from pathlib import Path

import httpx

from local.asynchronous import EventQueue
from local.cloud.state import State
from local.edge.serving import serving, sockets_on
from local.invoker import Invoker
from local.template import load
from tests.local.emulator.lab import SECRET, copy_sample


def test_another_port_is_taken_and_told(tmp_path: Path) -> None:
    template = load(copy_sample(tmp_path) / "template.yaml", {"SECRET_KEY": SECRET})
    state, said = State.open(tmp_path), list[str]()

    async def served(port: int) -> tuple[str, int]:
        invoker = Invoker(template, logs=tmp_path / "logs")
        queue = EventQueue(invoker, lambda: template)
        sockets = sockets_on(port, state, said.append)
        around = serving(sockets, {}, invoker, queue, gateway=lambda: None)
        async with around as url, httpx.AsyncClient(trust_env=False) as client:
            return url, (await client.get(url)).status_code

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        url, status = asyncio.run(served(taken))
    state.close()
    assert url == f"http://localhost:{state.ports()['edge']}"
    assert said == [f"edge: port {taken} cannot be had (Address already in use); using {state.ports()['edge']}"]
    assert status == 403
