"""uvicorn as Facet is served by it: what it takes for a request, and how it ends."""

import contextlib
import json
import re
import signal
import socket
from asyncio import Transport, get_running_loop
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from facet.adapters.asgi import HEAD_LIMIT, LINGER_SECONDS, Application

KEPT_SECONDS = 75  # longer than proxies keep idle connections: who closes first must not be who is asked
BACKLOG = 512
_OFFER = re.compile(rb"(?<=\n)upgrade:[^\r\n]*\r\n", re.IGNORECASE)


def listening(host: str, port: int) -> socket.socket:
    """A socket on that address; port 0 is any free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without delay only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def serve(
    app: Application, listener: socket.socket, *, grace: float, on_stop: Callable[[], None], watched: int | None = None
) -> None:
    """Serve until a signal says to stop; what runs then has `grace` seconds to end.

    The end of the pipe `watched` is such a signal too.
    """
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        log_config=None,
        log_level="error",  # a request that cannot be read is its client's to know
        access_log=False,
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=grace,  # type: ignore[arg-type]  # it only waits for it: seconds may have parts
        timeout_keep_alive=KEPT_SECONDS,
    )
    _Server(config, on_stop, watched).run([listener])


class _Server(uvicorn.Server):
    """uvicorn that ends with exit code 0 when it is told to: its own raises the signal again."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None], watched: int | None) -> None:
        super().__init__(config)
        self._on_stop, self._watched = on_stop, watched

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops on the usual signals; Ctrl-C is for the process that started this one, if it watches that."""
        signal.signal(signal.SIGTERM, self.handle_exit)
        if self._watched is None:
            signal.signal(signal.SIGINT, self.handle_exit)
        else:
            get_running_loop().add_reader(self._watched, self._orphaned)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops; a second Ctrl-C does so at once."""
        self._on_stop()
        super().handle_exit(sig, frame)

    def _orphaned(self) -> None:
        get_running_loop().remove_reader(self._watched)  # type: ignore[arg-type]  # it is watched
        self.handle_exit(signal.SIGTERM, None)


class _Protocol(HttpToolsProtocol):
    """uvicorn's, but refusals are JSON like everything else, a request's head has an end, and trailers are dropped.

    Who offers to go on in another protocol (Java's client does, with every first request) is answered in this one: the
    offer is hidden from the parser, which would take the request's body for the next request.
    """

    _unfinished = 0  # bytes of a head or of trailers
    _in_head = True
    _refused = False
    _passed = b"\n"  # the last that the parser was given
    _held = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """A client, who has as long for the first request as for every further one."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """The time of an idle connection goes on until a head is complete."""
        if not self._in_head or self.transport.is_closing():
            super()._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._refused:
            return
        self._unfinished += len(data)
        data = self._without_offer(self._held + data) if self._in_head else data
        self._passed = (self._passed + data[-3:])[-3:]
        super().data_received(data)
        if self._unfinished > 2 * HEAD_LIMIT and not self._refused:
            detail = f"The address and the headers are longer than {HEAD_LIMIT} bytes."
            self._refuse("431 Request Header Fields Too Large", detail, "HEADERS_TOO_LARGE")

    def _without_offer(self, data: bytes) -> bytes:
        """What the parser is given of a head by now: what may become the offer waits for the rest of its line."""
        start = len(self._passed)
        head, end, body = (self._passed + data).partition(b"\r\n\r\n")
        head += end[:2]
        while offer := _OFFER.search(head, start):
            head = head[: offer.start()] + head[offer.end() :]
        line = b"" if end else head[max(start, head.rfind(b"\n") + 1) :]
        self._held = line if b"upgrade:".startswith(line[:8].lower()) else b""
        return (head + end[2:] + body)[start : -len(self._held) or None]

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after the body, which would slip past every check of the headers."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of the head."""
        if self.parser.should_upgrade():  # an offer that could not be hidden: behind another request, or CONNECT
            return self._refuse("400 Bad Request", "Only HTTP/1.1 is spoken here.", "BAD_REQUEST")
        if not self._names_one_host():
            self._refuse("400 Bad Request", "The request needs exactly one Host header.", "HOST_INVALID")
            raise ValueError  # for the parser: what follows is neither this request's body nor the next request
        self._unfinished, self._in_head = 0, False
        self._unset_keepalive_if_required()
        return super().on_headers_complete()

    def _names_one_host(self) -> bool:
        """A second could be whom a proxy before this server meant; only HTTP/1.0 may do without one."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        return hosts == 1 or (hosts == 0 and self.parser.get_http_version() == "1.0")

    def on_body(self, body: bytes) -> None:
        """Bytes of the body."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of the body."""
        if self._refused:
            return
        self._unfinished, self._in_head = 0, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers bytes that are no HTTP request, and closes the connection."""
        if not self._refused:
            self._refuse("400 Bad Request", msg, "BAD_REQUEST")

    def _refuse(self, status: str, detail: str, code: str) -> None:
        """Who is cut off while sending may never read the answer: what still comes is thrown away for a while."""
        self._refused = True
        under_way = None if self.cycle is None or self.cycle.response_complete else self.cycle
        if under_way is not None and not under_way.more_body:
            under_way.keep_alive = False  # the request before gets its answer, and is the last
            return
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
        if under_way is not None and under_way.response_started:
            return
        body = json.dumps({"detail": detail, "code": code}).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.write_eof()
