"""The gateway behind a real server: requests cut off, endless or odd, clients that leave or are slow."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.emulator.lab import Lab, lab
from tests.local.emulator.wire import Answer, ask, connected, serving

MEGABYTES = 60
HEAD = b"POST /items HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\n"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("sample")) as running:
        yield running


async def exchange(port: int, head: bytes, pieces: int = 0, *, chunked: bool = False) -> tuple[int, dict[str, str]]:
    """Send the head and as many megabytes as the server takes; status and JSON body of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    piece = bytes(1_000_000)

    async def answer() -> tuple[bytes, bytes]:
        top = (await reader.readuntil(b"\r\n\r\n")).lower()
        return top, await reader.readexactly(int(top.split(b"content-length:")[1].split()[0]))

    answering = asyncio.create_task(answer())  # read as soon as it comes: a reset would take what is not read yet
    writer.write(head)
    with contextlib.suppress(ConnectionError):
        for _ in range(pieces):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
    top, body = await answering
    writer.close()
    return int(top.split()[1]), json.loads(body)


@pytest.mark.parametrize("sends", [0, MEGABYTES])
def test_a_body_said_to_be_too_long_is_refused_sent_or_not(sample: Lab, sends: int) -> None:
    async def refused() -> tuple[int, dict[str, str]]:
        async with serving(sample.app) as port, asyncio.timeout(20):
            return await exchange(port, HEAD + b"content-length: %d\r\n\r\n" % (MEGABYTES * 1_000_000), sends)

    status, body = sample.run(refused())
    assert (status, body["code"]) == (413, "BODY_TOO_LARGE")


def test_a_body_of_unsaid_length_is_refused_when_it_gets_too_long(sample: Lab) -> None:
    async def refused() -> tuple[int, dict[str, str]]:
        async with serving(sample.app) as port, asyncio.timeout(20):
            return await exchange(port, HEAD + b"transfer-encoding: chunked\r\n\r\n", MEGABYTES, chunked=True)

    status, body = sample.run(refused())
    assert (status, body["code"]) == (413, "BODY_TOO_LARGE")


def test_a_body_to_an_unknown_path_is_refused_as_well(sample: Lab) -> None:
    async def refused() -> tuple[int, dict[str, str]]:
        async with serving(sample.app) as port, asyncio.timeout(20):
            head = HEAD.replace(b"/items", b"/nothing") + b"content-length: %d\r\n\r\n" % (5 * 1_000_000)
            return await exchange(port, head, 5)

    assert sample.run(refused())[0] == 404


@pytest.mark.parametrize("sends", [0, 1])
def test_a_client_that_leaves_hurts_nobody(sample: Lab, sends: int) -> None:
    async def left() -> int:
        async with serving(sample.app) as port:
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


PORTABLE = b" /fn/portable/x HTTP/1.1\r\nhost: localhost\r\n"


def sent(sample: Lab, request: bytes) -> Answer:
    async def answered() -> Answer:
        async with serving(sample.app) as port:
            return await ask(port, request)

    return sample.run(answered())


def test_requests_in_a_row_are_answered_in_their_order(sample: Lab) -> None:
    async def answered() -> list[Answer]:
        async with serving(sample.app) as port, connected(port) as wire:
            lines = [b"GET /fn/portable/%d HTTP/1.1\r\nhost: localhost\r\n\r\n" % number for number in range(5)]
            await wire.send(b"".join(lines))
            return [await wire.answer() for _ in lines]

    assert [json.loads(answer.body)["path"] for answer in sample.run(answered())] == ["/0", "/1", "/2", "/3", "/4"]


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(sample: Lab) -> None:
    async def answered() -> tuple[Answer, Answer]:
        async with serving(sample.app) as port, connected(port) as wire:
            await wire.send(b"POST" + PORTABLE + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
            first = await wire.answer()
            await wire.send(b"abc")
            return first, await wire.answer()

    first, answer = sample.run(answered())
    assert (first.status, answer.status, json.loads(answer.body)["body"]) == (100, 200, "YWJj")
    assert "expect" not in json.loads(answer.body)["headers"]


def test_one_that_asks_to_send_too_much_is_not(sample: Lab) -> None:
    refused = sent(sample, b"POST" + PORTABLE + b"expect: 100-continue\r\ncontent-length: 99999999\r\n\r\n")
    assert refused.status == 413


@pytest.mark.parametrize(
    "request_",
    [
        b"FOO" + PORTABLE + b"\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /fn/portable/\xc3\xbc HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /fn/portable/\x00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /fn/portable/x y HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /fn/portable/x HTTP/1.0\r\n\r\n",
        b"GET" + PORTABLE + b"host: example.com\r\n\r\n",
        b"GET" + PORTABLE + b"x-a: 1\r\n  folded\r\n\r\n",
        b"GET" + PORTABLE + b"x-a : 1\r\n\r\n",
        b"POST" + PORTABLE + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST" + PORTABLE + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"POST" + PORTABLE + b"content-length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_refused_in_json(sample: Lab, request_: bytes) -> None:
    answer = sent(sample, request_)
    assert (answer.status, answer.header("content-type")) == (400, "application/json")
    assert set(json.loads(answer.body)) == {"message", "detail", "code"}


@pytest.mark.parametrize("beginning", [b"GET" + PORTABLE + b"x-a: ", b"GET /"], ids=["header", "address"])
def test_a_head_without_end_is_refused_before_it_fills_the_memory(sample: Lab, beginning: bytes) -> None:
    answer = sent(sample, beginning + b"a" * 2_000_000)
    assert (answer.status, json.loads(answer.body)["code"]) == (431, "HEADERS_TOO_LARGE")


def test_an_address_counts_among_what_may_be_too_long(sample: Lab) -> None:
    answer = sent(sample, b"GET /fn/portable/x?q=" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (answer.status, json.loads(answer.body)["code"]) == (431, "HEADERS_TOO_LARGE")


def test_a_trailer_is_no_header(sample: Lab) -> None:
    body = b"1\r\na\r\n0\r\nx-a: 1\r\nhost: example.com\r\n\r\n"
    answer = sent(sample, b"POST" + PORTABLE + b"transfer-encoding: chunked\r\n\r\n" + body)
    assert answer.status == 200
    assert json.loads(answer.body)["headers"] == {"host": "localhost"}


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_who_wants_another_protocol_gets_the_answer_in_this_one(sample: Lab, protocol: bytes) -> None:
    head = b"connection: upgrade\r\nupgrade: " + protocol + b"\r\ncontent-length: 3\r\n\r\nabc"
    answer = sent(sample, b"POST" + PORTABLE + head)
    assert (answer.status, json.loads(answer.body)["body"]) == (200, "YWJj")


@pytest.mark.parametrize("path", [b"/fn/../_local/functions", b"/fn/%2e%2e/_local/functions", b"//_local/functions"])
def test_no_detour_leads_past_the_rules(sample: Lab, path: bytes) -> None:
    assert sent(sample, b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\n\r\n").status == 404


def test_the_host_header_decides_also_beside_a_whole_address(sample: Lab) -> None:
    answer = sent(sample, b"GET http://localhost/fn/portable/x HTTP/1.1\r\nhost: evil.example\r\n\r\n")
    assert answer.status == 421


def test_a_hundred_slow_clients_harm_nobody(sample: Lab) -> None:
    async def answered() -> None:
        async with serving(sample.app) as port, contextlib.AsyncExitStack() as slow:
            for number in range(100):
                wire = await slow.enter_async_context(connected(port))
                await wire.send(b"GET /fn/por" if number % 2 else b"POST" + PORTABLE + b"content-length: 9\r\n\r\nslow")
            for _ in range(20):
                assert (await ask(port, b"GET" + PORTABLE + b"\r\n")).status == 200

    sample.run(answered())
