"""A TCP connection to the broker that a test can cut and restore."""

import contextlib
import socket
import threading

from tests.stacks import free_port


class Forwarder:
    """Listens on a port of its own while it is `up`; what goes through it breaks off when it goes `down`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        for part in (self._listener, *self._open):
            if part:
                _cut(part)
        self._listener, self._open = None, []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _cut(source)
    _cut(sink)


def _cut(part: socket.socket) -> None:
    with contextlib.suppress(OSError):
        part.shutdown(socket.SHUT_RDWR)
    part.close()
