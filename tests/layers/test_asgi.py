"""What an ASGI server hands over is the request that a function URL gets; handlers block only their own thread."""

import asyncio
import json
import threading
import weakref
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
from hypothesis import given

from facet import events
from facet.adapters import MAX_BODY, asgi
from facet.adapters.asgi import Message, Scope
from facet.adapters.bodies import SMALL, Bodies
from facet.adapters.threads import Full, Threads
from facet.cors import CrossOrigin
from facet.http import Answers, Request, Response
from infra.problems import GATEWAY
from tests.layers.shapes import Plain, furl
from tests.layers.test_events import PLAIN

pytestmark = pytest.mark.usefixtures("bare_environment")
PATIENCE = 10.0


def scope(plain: Plain, **more: Any) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": plain.method,
        "path": unquote(plain.path),
        "raw_path": plain.path.encode(),
        "query_string": urlencode(plain.query).encode(),
        "headers": [
            (name.lower().encode(), value.encode())
            for name, value in [*plain.headers, *(("cookie", cookie) for cookie in plain.cookies)]
        ],
        "client": (plain.source_ip, 4711),
        "server": ("localhost", 80),
        "scheme": "http",
        **more,
    }


class Client:
    """One request as a server passes it on: pieces of its body, then nothing, or `http.disconnect`."""

    def __init__(self, plain: Plain, pieces: Iterable[bytes] = (b"",), *, leaves: bool = False, **more: Any) -> None:
        self.scope = scope(plain, **more)
        self.messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in pieces]
        self.messages += [{"type": "http.disconnect"}] if leaves else []
        if not leaves and self.messages:
            self.messages[-1]["more_body"] = False
        self.sent: list[Message] = []
        self.taken = 0

    async def receive(self) -> Message:
        if self.taken == len(self.messages):
            await asyncio.Event().wait()
        self.taken += 1
        return self.messages[self.taken - 1]

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def ask(self, app: asgi.Application) -> "Client":
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


class Gate(Answers):
    """Answers when it is opened, and counts how many are inside."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Semaphore(0), threading.Event()
        self.requests: list[Request] = []

    def respond(self, request: Request, context: Any) -> Response:
        self.requests.append(request)
        self.entered.release()
        assert self.opened.wait(PATIENCE)
        return Response(200, "through", [("content-type", "text/plain")])


def opened() -> Gate:
    gate = Gate()
    gate.opened.set()
    return gate


async def entered(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.entered.acquire, timeout=PATIENCE)


@given(PLAIN)
def test_the_request_is_that_of_a_function_url(plain: Plain) -> None:
    expected = replace(events.request_from(furl(plain)), request_id="")
    assert asgi.request_from(scope(plain), plain.body) == expected


@given(PLAIN)
def test_what_is_sent_is_what_the_function_gets_in_whatever_pieces(plain: Plain) -> None:
    async def main() -> None:
        pieces = [plain.body[start : start + 7] for start in range(0, len(plain.body), 7)] or [b""]
        await Client(plain, pieces).ask(asgi.application(gate))

    gate = opened()
    asyncio.run(main())
    assert [request.body for request in gate.requests] == [plain.body]


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({"raw_path": b"/a%2Fb"}, "/a%2Fb"),
        ({"raw_path": None, "path": "/100% ü?#"}, "/100%25%20%C3%BC%3F%23"),
        ({"raw_path": "/ü<".encode()}, "/%C3%BC%3C"),
        ({"raw_path": b"/mount/a%2Fb", "root_path": "/mount"}, "/a%2Fb"),
        ({"raw_path": b"/mounted/a", "root_path": "/mount"}, "/mounted/a"),
    ],
)
def test_the_path_is_as_it_was_sent(told: dict[str, Any], path: str) -> None:
    assert asgi.request_from(scope(Plain(), **told), b"").path == path


def test_a_client_without_an_address_has_none() -> None:
    assert asgi.request_from(scope(Plain(), client=None), b"").source_ip == ""


def test_the_answer_is_the_functions() -> None:
    headers = [("Content-Type", "x/y"), ("X-Many", "1"), ("X-Many", "2"), ("Keep-Alive", "no"), ("X-Name", "Zoë 😀")]
    start, body = asgi.reply_to("GET", Response(201, b"\xff", headers, ["a=1", "b=2"]))
    assert start == {
        "type": "http.response.start",
        "status": 201,
        "headers": [
            *((b"content-type", b"x/y"), (b"x-many", b"1"), (b"x-many", b"2"), (b"x-name", "Zoë 😀".encode())),
            *((b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-length", b"1")),
        ],
    }
    assert body == {"type": "http.response.body", "body": b"\xff"}


@pytest.mark.anyio
async def test_as_many_as_there_are_threads_run_at_once_and_the_next_waits_for_one() -> None:
    gate = Gate()
    app = asgi.application(gate, threads=2, waiting=1)
    running = [asyncio.create_task(Client(Plain()).ask(app)) for _ in range(3)]
    await entered(gate)
    await entered(gate)
    assert not gate.entered.acquire(blocking=False)
    gate.opened.set()
    assert [client.status for client in await asyncio.gather(*running)] == [200, 200, 200]


@pytest.mark.anyio
async def test_when_as_many_wait_as_may_the_next_is_told_to_come_again() -> None:
    gate = Gate()
    app = asgi.application(CrossOrigin(gate, ["http://app"]), threads=1, waiting=1)
    running = [asyncio.create_task(Client(Plain()).ask(app)) for _ in range(2)]
    await entered(gate)
    refused = await Client(Plain(headers=[("origin", "http://app")])).ask(app)
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "BUSY", "1")
    assert refused.headers["access-control-allow-origin"] == "http://app"
    gate.opened.set()
    await asyncio.gather(*running)
    assert (await Client(Plain()).ask(app)).status == 200


@pytest.mark.anyio
async def test_who_waits_too_long_is_told_and_what_had_no_turn_is_not_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    app = asgi.application(gate, threads=1, waiting=5, timeout=0.5)
    late = await asyncio.gather(*(Client(Plain(path=f"/{number}")).ask(app) for number in range(3)))
    assert [(client.status, client.code) for client in late] == [(504, "GATEWAY_TIMEOUT")] * 3
    assert "takes longer than 0.5 s" in caplog.text
    gate.opened.set()
    last = await Client(Plain(path="/last")).ask(asgi.application(gate, timeout=PATIENCE))
    assert last.status == 200
    assert {request.path for request in gate.requests} == {"/0", "/last"}


@pytest.mark.anyio
async def test_a_function_that_never_ends_keeps_its_thread_and_no_other() -> None:
    gate, free = Gate(), opened()

    class Both(Answers):
        def respond(self, request: Request, context: Any) -> Response:
            return (gate if request.path == "/stuck" else free).respond(request, context)

    app = asgi.application(Both(), threads=2, timeout=1)
    assert (await Client(Plain(path="/stuck")).ask(app)).status == 504
    assert [(await Client(Plain()).ask(app)).status for _ in range(5)] == [200] * 5
    gate.opened.set()


@pytest.mark.anyio
async def test_a_server_that_ends_tells_who_still_waits() -> None:
    gate = Gate()
    client = Client(Plain())
    task = asyncio.create_task(client.ask(asgi.application(gate)))
    await entered(gate)
    task.cancel()
    await task
    assert (client.status, client.code) == (503, "BUSY")
    gate.opened.set()


@pytest.mark.anyio
async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read() -> None:
    gate = opened()
    plain = Plain(method="POST", headers=[("content-length", str(MAX_BODY + 1))])
    client = Client(plain, [b"x"])
    await client.ask(asgi.application(gate))
    assert (client.status, client.code, client.headers["connection"]) == (413, "BODY_TOO_LARGE", "close")
    assert gate.requests == []


@pytest.mark.anyio
async def test_a_body_without_a_length_is_refused_at_the_limit_and_its_rest_thrown_away() -> None:
    gate = opened()
    client = await Client(Plain(method="POST"), [b"x" * MAX_BODY, b"x", b"rest", b"rest"]).ask(asgi.application(gate))
    assert client.status == 413
    assert client.taken == 4
    assert client.sent[-1] == {"type": "http.response.body", "body": b""}
    assert gate.requests == []


@pytest.mark.anyio
async def test_a_body_at_the_limit_is_taken() -> None:
    gate = opened()
    assert (await Client(Plain(method="POST"), [b"x" * MAX_BODY]).ask(asgi.application(gate))).status == 200


@pytest.mark.anyio
async def test_large_bodies_are_refused_while_as_many_are_held_as_may_be_and_small_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi, "Bodies", partial(Bodies, together=MAX_BODY + SMALL))
    gate = Gate()
    app = asgi.application(gate)
    large = [asyncio.create_task(Client(Plain(method="POST"), [b"x" * MAX_BODY]).ask(app))]
    await entered(gate)
    refused = await Client(Plain(method="POST"), [b"x" * SMALL, b"x", b"rest"]).ask(app)
    assert (refused.status, refused.code, refused.headers["connection"]) == (503, "BUSY", "close")
    assert refused.taken == 3
    small = asyncio.create_task(Client(Plain(method="POST"), [b"x" * SMALL]).ask(app))
    await entered(gate)
    gate.opened.set()
    assert [client.status for client in await asyncio.gather(*large, small)] == [200, 200]
    assert (await Client(Plain(method="POST"), [b"x" * MAX_BODY]).ask(app)).status == 200


@pytest.mark.anyio
async def test_a_body_that_does_not_end_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(asgi, "LINGER_SECONDS", 0.05)
    gate, client = opened(), Client(Plain(method="POST"), [b"half"])
    client.messages[-1]["more_body"] = True
    await client.ask(asgi.application(gate))
    assert (client.status, client.code, gate.requests) == (400, "MALFORMED_BODY", [])


@pytest.mark.anyio
async def test_a_head_that_is_too_long_is_refused() -> None:
    client = await Client(Plain(headers=[("x", "y" * 40_000)])).ask(asgi.application(opened()))
    assert (client.status, client.code) == (431, "HEADERS_TOO_LARGE")


@pytest.mark.anyio
async def test_a_client_that_leaves_while_it_sends_reaches_no_function() -> None:
    gate = opened()
    client = await Client(Plain(method="POST"), [b"half"], leaves=True).ask(asgi.application(gate))
    assert (client.sent, gate.requests) == ([], [])


@pytest.mark.anyio
@pytest.mark.parametrize("error", [KeyError("secret"), SystemExit(3)])
async def test_what_is_raised_is_a_500_that_tells_nothing(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Answers):
        def respond(self, request: Request, context: Any) -> Response:
            raise error

    client = await Client(Plain()).ask(asgi.application(Broken()))
    assert (client.status, client.code) == (500, "INTERNAL_ERROR")
    assert b"secret" not in client.body
    assert type(error).__name__ in caplog.text


@pytest.mark.anyio
async def test_a_header_that_would_end_its_line_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    class Splitting(Answers):
        def respond(self, request: Request, context: Any) -> Response:
            return Response(200, "", [("x", "a\r\nset-cookie: b")])

    client = await Client(Plain()).ask(asgi.application(Splitting()))
    assert client.status == 500
    assert "no header may have" in caplog.text


@pytest.mark.anyio
async def test_the_application_begins_and_ends_with_its_server() -> None:
    said: list[str] = []

    async def messages() -> AsyncIterator[Message]:
        yield {"type": "lifespan.startup"}
        yield {"type": "lifespan.shutdown"}

    async def send(message: Message) -> None:
        said.append(message["type"])

    await asgi.application(opened())({"type": "lifespan"}, messages().__anext__, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.anyio
async def test_a_websocket_is_refused() -> None:
    client = Client(Plain(), type="websocket")
    await client.ask(asgi.application(opened()))
    assert client.sent == [{"type": "websocket.close", "code": 1008}]


def test_the_codes_are_those_of_the_catalogue() -> None:
    from facet.adapters import Busy, GatewayTimeout, HeadersTooLarge
    from facet.api import FunctionNotFound

    for problem in (Busy, GatewayTimeout, HeadersTooLarge, FunctionNotFound):
        assert GATEWAY[problem.code][0] == problem.status


def test_threads_are_begun_as_they_are_needed_and_never_more_than_said() -> None:
    before = threading.active_count()
    threads: Threads[str] = Threads(2, waiting=10)
    assert threading.active_count() <= before  # one of another test may be ending
    names = {threads.submit(lambda: threading.current_thread().name).result(PATIENCE) for _ in range(20)}
    assert 1 <= len(names) <= 2


def test_what_is_cancelled_before_its_turn_is_let_go() -> None:
    threads: Threads[bool] = Threads(1, waiting=1)
    free = threading.Event()
    first = threads.submit(lambda: free.wait(PATIENCE))
    body = _Body()
    known = weakref.ref(body)
    waiting = threads.submit(partial(bool, body))
    del body
    assert waiting.cancel()
    assert known() is None
    free.set()
    assert first.result(PATIENCE)


class _Body:
    """Something whose end can be seen."""


def test_work_beyond_the_bound_is_refused_until_some_is_done() -> None:
    threads: Threads[bool] = Threads(1, waiting=0)
    free = threading.Event()
    first = threads.submit(lambda: free.wait(PATIENCE))
    with pytest.raises(Full):
        threads.submit(lambda: True)
    done = threading.Event()
    first.add_done_callback(lambda _: done.set())  # after its place was given back, unlike its result
    free.set()
    assert done.wait(PATIENCE)
    assert threads.submit(lambda: True).result(PATIENCE)
