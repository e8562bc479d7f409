"""`python -m facet.serve` serves functions to real clients, and ends when it is told to."""

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from facet.adapters import MAX_BODY, asgi
from facet.front import Front
from tests.layers import serving
from tests.layers.serving import PATIENCE, Served, entered, open_gate, until
from tests.layers.shapes import Plain
from tests.layers.test_asgi import Client, opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return serving.project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving.serving(folder) as served:
        yield served


# ---- requests


def test_all_functions_are_served_behind_their_routes_and_their_own_urls(served: Served) -> None:
    with served.http() as http:
        for path in ("/echo?a=1&a=2", "/api/v1/echo?a=1&a=2", "/fn/echo/echo?a=1&a=2"):
            answer = http.get(path)
            assert answer.json()["query"] == [["a", "1"], ["a", "2"]]
            assert answer.json()["from"] == "127.0.0.1"
            assert {"date", "x-request-id"} <= set(answer.headers)
            assert "server" not in answer.headers
        assert http.put("/echo").status_code == 405
        assert http.get("/tick").status_code == 404


def test_probes_are_answered_and_not_logged(served: Served) -> None:
    with served.http() as http:
        assert [http.get(path).status_code for path in ("/_/health", "/_/ready", "/_/other")] == [200, 200, 404]
        assert http.head("/_/ready").status_code == 200
        assert http.get("/echo").status_code == 200
    assert not [line for line in served.lines if "/_/" in line["message"]]


def test_a_line_says_what_was_asked_but_no_value_of_a_query(served: Served) -> None:
    with served.http() as http:
        request_id = http.get("/echo?token=hidden", headers={"access-token": "hidden"}).headers["x-request-id"]
    line = until(lambda: [line for line in served.lines if line.get("request_id") == request_id])[0]
    assert line["message"] == "GET /echo 200"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/echo", 200)
    assert line["duration_ms"] > 0
    assert "hidden" not in served.text


def test_fifty_requests_at_once_are_all_answered(served: Served) -> None:
    async def main() -> list[int]:
        async with httpx.AsyncClient(base_url=served.url, timeout=PATIENCE, trust_env=False) as http:
            answers = await asyncio.gather(*(http.post("/echo", content=b"x" * 1000) for _ in range(50)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(main()) == [200] * 50


def test_a_request_that_takes_long_keeps_nobody_else_waiting(served: Served, folder: Path) -> None:
    with served.http() as http, ThreadPoolExecutor() as pool:
        slow = pool.submit(httpx.get, f"{served.url}/gate/slow", timeout=PATIENCE, trust_env=False)
        until(lambda: entered(folder, "slow"))
        assert http.get("/echo").status_code == 200
        assert not slow.done()
        open_gate(folder, "slow")
        assert slow.result().json() == {"through": "slow"}


def test_a_client_that_sends_slowly_keeps_nobody_else_waiting(served: Served) -> None:
    with served.http() as http, served.connect() as slow:
        slow.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab")
        assert http.get("/echo").status_code == 200
        slow.sendall(b"cd")
        assert b'"bytes":4' in _everything(slow)


def test_a_client_that_leaves_is_no_error(served: Served) -> None:
    with served.connect() as half:
        half.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
    with served.connect() as early:
        early.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
    with served.http() as http:
        assert http.get("/echo").status_code == 200
    assert not [line for line in served.lines if line["level"] == "ERROR"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_too_much_can_read_that_it_did(served: Served, chunked: bool) -> None:
    piece = b"x" * 65_536
    pieces = (piece for _ in range(2 * MAX_BODY // len(piece)))
    with served.http() as http:
        answer = http.post("/echo", content=pieces if chunked else piece * (2 * MAX_BODY // len(piece)))
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")
        most = http.post("/echo", content=b"x" * MAX_BODY)
        assert most.json()["bytes"] == MAX_BODY
        assert "connection" not in most.headers  # it is kept
    assert not [line for line in served.lines if line["level"] == "ERROR"]


def test_who_offers_another_protocol_is_answered_in_this_one(served: Served) -> None:
    with served.connect() as client:
        offer = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + offer + b"Content-Length: 4\r\n\r\nabcd")
        assert b'"bytes":4' in _everything(client)
    with served.connect() as client:
        client.sendall(b"GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n")
        assert _everything(client).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("line", [b"BREW /coffee HTCPCP/1.0", b"CONNECT x:1 HTTP/1.1", b"GET /\xff HTTP/1.1"])
def test_bytes_that_are_no_request_are_refused_in_json(served: Served, line: bytes) -> None:
    with served.connect() as client:
        client.sendall(line + b"\r\nHost: x\r\n\r\n")
        head, _, body = _everything(client).partition(b"\r\n\r\n")
    assert not [each for each in served.lines if each["level"] == "ERROR"]
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["code"] == "BAD_REQUEST"


def test_what_follows_a_request_and_is_none_keeps_it_from_no_answer(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcdBREW\r\n\r\n")
        answers = _everything(client)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert not [line for line in served.lines if line["level"] == "ERROR"]


def test_who_goes_on_after_a_refusal_with_what_is_no_body_is_answered_once(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"%x\r\n%b\r\n" % (MAX_BODY + 1, b"x" * (MAX_BODY + 1)))
        begun = client.recv(65_536)
        client.sendall(b"no length\r\n")
        answers = begun + _everything(client)
    assert answers.startswith(b"HTTP/1.1 413 ")
    assert answers.count(b"HTTP/1.1 ") == 1
    assert not [line for line in served.lines if line["level"] == "ERROR"]


def test_a_head_without_end_is_refused(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b"GET /echo HTTP/1.1\r\nX: " + b"y" * 200_000)
        assert _everything(client).startswith(b"HTTP/1.1 431 ")


def _everything(client: socket.socket) -> bytes:
    found = bytearray()
    while piece := client.recv(65_536):
        found += piece
    return bytes(found)


# ---- the end


def test_what_runs_when_it_is_told_to_end_is_finished_first(folder: Path) -> None:
    with serving.serving(folder, log="end") as served, ThreadPoolExecutor() as pool:
        address = ("127.0.0.1", served.port)
        last = pool.submit(httpx.get, f"{served.url}/gate/last", timeout=PATIENCE, trust_env=False)
        until(lambda: entered(folder, "last"))
        served.process.send_signal(signal.SIGTERM)
        until(lambda: _refused(address))
        assert served.process.poll() is None
        open_gate(folder, "last")
        assert last.result().status_code == 200
        assert served.wait() == 0
    assert served.lines[-1]["message"] == "stopped"


def _refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_who_is_not_done_within_the_grace_is_told_and_left_behind(folder: Path) -> None:
    with serving.serving(folder, log="grace", FACET_GRACE="0.2") as served, ThreadPoolExecutor() as pool:
        late = pool.submit(httpx.get, f"{served.url}/gate/never", timeout=PATIENCE, trust_env=False)
        until(lambda: entered(folder, "never"))
        assert served.stop() == 0
        assert late.result().status_code == 503


def test_a_function_that_takes_too_long_is_answered_for_and_keeps_the_process_from_nothing(folder: Path) -> None:
    with serving.serving(folder, log="late", FACET_TIMEOUT="2", FACET_THREADS="2") as served, served.http() as http:
        answer = http.get("/gate/stuck")
        assert (answer.status_code, answer.json()["code"]) == (504, "GATEWAY_TIMEOUT")
        assert http.get("/echo").status_code == 200
        assert served.stop() == 0


@pytest.mark.anyio
async def test_a_server_that_ends_is_alive_and_not_ready() -> None:
    front = Front(asgi.application(opened()))
    front.stop()
    answers = [await Client(Plain(path=path)).ask(front) for path in ("/_/health", "/_/ready")]
    assert [answer.status for answer in answers] == [200, 503]
