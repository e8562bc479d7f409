"""What stands before the functions of a process that serves: probes, and a line of the log for every other request."""

import time
from uuid import uuid4

from facet import log
from facet.adapters import Busy, encoded
from facet.adapters.asgi import Application, Message, Receive, Scope, Send, reply_to, request_from
from facet.http import Request, Response, finished
from facet.problems import NotFound, refusal

HEALTH, READY = "/_/health", "/_/ready"


class Front:
    """An ASGI application before another. Probes wait for no thread: a busy server is healthy."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._stopping = False

    def stop(self) -> None:
        """Be ready no longer."""
        self._stopping = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith("/_/"):
            for message in reply_to(scope["method"], self._probed(request_from(scope, b""))):
                await send(message)
        else:
            await self._logged(scope, receive, send)

    def _probed(self, request: Request) -> Response:
        """`/_/health` says that the process lives, `/_/ready` that it takes requests."""
        request_id = str(uuid4())
        if request.path not in (HEALTH, READY):
            return refusal(NotFound(), request, request_id=request_id)
        if request.path == READY and self._stopping:
            return refusal(Busy("The server ends."), request, request_id=request_id)
        said = Response(200, "ok", [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")])
        return finished(said, method=request.method, request_id=request_id)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, start = time.perf_counter(), None

        async def noted(message: Message) -> None:
            nonlocal start
            start = message if message["type"] == "http.response.start" else start
            await send(message)

        await self._app(scope, receive, noted)
        if start is not None:
            _log(scope, start, time.perf_counter() - began)


def _log(scope: Scope, start: Message, seconds: float) -> None:
    """One line. The query stays out of it, because its values may be secrets."""
    path = encoded(scope.get("raw_path") or scope["path"].encode())[:1000]
    said = {
        "method": scope["method"],
        "path": path,
        "status": start["status"],
        "duration_ms": round(seconds * 1000, 1),
        "request_id": next((value.decode() for name, value in start["headers"] if name == b"x-request-id"), ""),
    }
    log.get().info("%s %s %d", scope["method"], path, start["status"], extra=said)
