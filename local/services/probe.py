"""Does a server answer? One short question each, no retries."""

import asyncio
import base64
import ssl
from urllib.parse import urlsplit

PATIENCE = 3.0
REFUSALS = (OSError, TimeoutError, asyncio.IncompleteReadError)
AMQP_HELLO, AMQP_START = b"AMQP\x00\x00\x09\x01", b"\x00\x0a\x00\x0a"
EPMD_NAMES = b"\x00\x01n"


async def speaks_amqp(host: str, port: int) -> bool:
    """Whether a broker greets with Connection.Start."""
    return (await _asked(host, port, AMQP_HELLO, 11))[7:] == AMQP_START


async def speaks_epmd(host: str, port: int) -> bool:
    """Whether an Erlang name server lists its names."""
    return await _asked(host, port, EPMD_NAMES, 4) == port.to_bytes(4, "big")


async def http_status(url: str, auth: tuple[str, str] | None = None) -> int | None:
    """The status with which a GET is answered; None where no HTTP server answers."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # not a number
        return None
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    lines = [f"GET {parts.path or '/'} HTTP/1.0", f"Host: {parts.netloc}"]
    if auth:
        lines.append(f"Authorization: Basic {base64.b64encode(':'.join(auth).encode()).decode()}")
    question = "\r\n".join([*lines, "", ""]).encode()
    answer = await _asked(parts.hostname or "", port, question, 12, secure)
    return int(answer[9:]) if answer.startswith(b"HTTP/1.") and answer[9:].isdigit() else None


async def _asked(host: str, port: int, question: bytes, length: int, secure: ssl.SSLContext | None = None) -> bytes:
    """The first `length` bytes of the answer; none where there is no answer."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port, ssl=secure)
            try:
                writer.write(question)
                return await reader.readexactly(length)
            finally:
                writer.close()
    except REFUSALS:
        return b""
