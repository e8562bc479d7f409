"""The gateway behind a real server: bodies that are cut off, clients that leave."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvicorn

from tests.local.emulator.lab import Lab, lab

MEGABYTES = 60
HEAD = b"POST /items HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\n"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("sample")) as running:
        yield running


@contextlib.asynccontextmanager
async def served(sample: Lab) -> AsyncIterator[int]:
    config = uvicorn.Config(sample.app, log_config=None, access_log=False, proxy_headers=False, lifespan="on")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def exchange(port: int, head: bytes, pieces: int = 0, *, chunked: bool = False) -> tuple[int, dict[str, str]]:
    """Send the head and as many megabytes as the server takes; status and JSON body of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    piece = bytes(1_000_000)
    writer.write(head)
    with contextlib.suppress(ConnectionError):
        for _ in range(pieces):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
    top = (await reader.readuntil(b"\r\n\r\n")).lower()
    body = await reader.readexactly(int(top.split(b"content-length:")[1].split()[0]))
    writer.close()
    return int(top.split()[1]), json.loads(body)


@pytest.mark.parametrize("sends", [0, MEGABYTES])
def test_a_body_said_to_be_too_long_is_refused_sent_or_not(sample: Lab, sends: int) -> None:
    async def refused() -> tuple[int, dict[str, str]]:
        async with served(sample) as port, asyncio.timeout(2):
            return await exchange(port, HEAD + b"content-length: %d\r\n\r\n" % (MEGABYTES * 1_000_000), sends)

    status, body = sample.run(refused())
    assert (status, body["code"]) == (413, "BODY_TOO_LARGE")


def test_a_body_of_unsaid_length_is_refused_when_it_gets_too_long(sample: Lab) -> None:
    async def refused() -> tuple[int, dict[str, str]]:
        async with served(sample) as port, asyncio.timeout(10):
            return await exchange(port, HEAD + b"transfer-encoding: chunked\r\n\r\n", MEGABYTES, chunked=True)

    status, body = sample.run(refused())
    assert (status, body["code"]) == (413, "BODY_TOO_LARGE")


def test_a_body_to_an_unknown_path_is_refused_as_well(sample: Lab) -> None:
    async def refused() -> tuple[int, dict[str, str]]:
        async with served(sample) as port, asyncio.timeout(10):
            head = HEAD.replace(b"/items", b"/nothing") + b"content-length: %d\r\n\r\n" % (5 * 1_000_000)
            return await exchange(port, head, 5)

    assert sample.run(refused())[0] == 404


@pytest.mark.parametrize("sends", [0, 1])
def test_a_client_that_leaves_hurts_nobody(sample: Lab, sends: int) -> None:
    async def left() -> int:
        async with served(sample) as port:
            _, leaving = await asyncio.open_connection("127.0.0.1", port)
            if sends:
                leaving.write(b"GET /fn/slow/?0.2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            else:
                leaving.write(HEAD + b"content-length: 1000\r\n\r\nhalf")
            await leaving.drain()
            await asyncio.sleep(0.05)
            leaving.close()
            await asyncio.sleep(0.3)
            status, _ = await exchange(port, b"GET /items HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            return status

    assert sample.run(left()) == 200


def test_a_log_is_for_this_user_only(sample: Lab) -> None:
    sample.http("GET", "/items")
    assert (Path(sample.folder) / "logs" / "echo.log").stat().st_mode & 0o777 == 0o600
