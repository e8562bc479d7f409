"""Does a server answer? One short question each, no retries."""

import asyncio

import httpx

PATIENCE = 3.0
REFUSALS = (OSError, TimeoutError, asyncio.IncompleteReadError)


async def accepts(host: str, port: int) -> bool:
    """Whether something takes TCP connections there."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except REFUSALS:
        return False
    writer.close()
    return True


async def speaks_amqp(host: str, port: int) -> bool:
    """Whether a broker greets with Connection.Start, as it does once its listeners are open."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"AMQP\x00\x00\x09\x01")
                return (await reader.readexactly(11))[7:] == b"\x00\x0a\x00\x0a"
            finally:
                writer.close()
    except REFUSALS:
        return False


async def says_ok(url: str, auth: tuple[str, str] | None = None) -> bool:
    """Whether a GET is answered with 200."""
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            return (await client.get(url, auth=auth)).status_code == 200
    except httpx.HTTPError:
        return False


async def answers_http(url: str) -> bool:
    """Whether a GET gets any answer."""
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            await client.get(url)
    except httpx.HTTPError:
        return False
    return True
