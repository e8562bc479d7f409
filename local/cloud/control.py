"""The command line's way into a running `facet up`: a Unix socket that only its user can open."""

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import httpx

from local.cloud import listen
from local.cloud.project import Project
from local.cloud.state import State

SOCKET_PATH_LIMIT = 100  # the kernel takes 107 bytes
NOBODY = "Facet is not running here. Start it with `facet up`."
Answer = Callable[[Mapping[str, Any]], Awaitable[object]]


class NotRunning(Exception):
    """Nothing listens on the project's control socket."""


class Refused(Exception):
    """`facet up` answered that the call cannot be done; the text is its reason."""


def socket_path(run: Path) -> Path:
    """The control socket's place: in `run`, or in the temporary folder where that path would be too long."""
    path = run / "control.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    folder = Path(tempfile.gettempdir()) / f"facet-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.is_symlink():
        raise Refused(f"{folder} belongs to somebody else. Set FACET_STATE to a shorter path.")
    return folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"


class Client:
    """Calls the verbs of a running `facet up`."""

    def __init__(self, run: Path) -> None:
        self._path = socket_path(run)

    @classmethod
    def of(cls, project: Project) -> "Client":
        """Of the stack that runs this project, or would. Raises StateUnusable."""
        return cls(State.open(project.root).run)

    def call(self, verb: str, *, timeout: float | None = 30, **arguments: object) -> Any:
        """The verb's answer. Raises NotRunning and Refused."""
        if not self._path.exists():
            raise NotRunning(NOBODY)
        without_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx would read all of the machine's certificates
        transport = httpx.HTTPTransport(uds=str(self._path), verify=without_tls)
        with httpx.Client(transport=transport, base_url="http://facet", timeout=timeout) as http:
            try:
                response = http.post(f"/{verb}", json=arguments)
            except httpx.TimeoutException as exc:
                raise Refused(f"`facet up` did not answer within {timeout} s. `facet logs up` may tell why.") from exc
            except httpx.TransportError as exc:
                raise NotRunning(NOBODY) from exc
        if response.is_error:
            raise Refused(response.json()["message"])
        return response.json()


@contextlib.asynccontextmanager
async def serve(run: Path, verbs: Mapping[str, Answer]) -> AsyncIterator[None]:
    """Answers `verbs` on the control socket while the block runs."""
    path = socket_path(run)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(previous)
    listener.listen()
    try:
        async with listen.serving(_app(verbs), [listener]):
            yield
    finally:
        path.unlink(missing_ok=True)


def _app(verbs: Mapping[str, Answer]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = verbs.get(scope["path"].removeprefix("/"))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if answer is None:
            status, result = 404, {"message": f"There is no verb {scope['path']}."}
        else:
            status, result = await _unless_left(_answered(answer, body), receive)
        content = json.dumps(result).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return app


async def _unless_left(answered: Coroutine[Any, Any, tuple[int, Any]], receive: Any) -> tuple[int, Any]:
    """The answer. Where the caller leaves (Ctrl-C), what waits for it ends; invocations go on, save debugged ones."""
    answering, leaving = asyncio.create_task(answered), asyncio.create_task(receive())
    await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
    leaving.cancel()
    if not answering.done():
        answering.cancel()
    await asyncio.wait({answering})
    return (409, {"message": "The caller has left."}) if answering.cancelled() else answering.result()


async def _answered(answer: Answer, body: bytes) -> tuple[int, Any]:
    try:
        arguments = json.loads(body)
    except ValueError as exc:
        return 409, {"message": f"The call is no JSON: {exc}"}
    try:
        return 200, await answer(arguments)
    except KeyError as exc:
        return 409, {"message": f"The call lacks {exc}."}
    except Refused as exc:
        return 409, {"message": str(exc)}
