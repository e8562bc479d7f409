"""The edge on its port: LocalStack's where it is free."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from local.asynchronous import EventQueue
from local.cloud import listen
from local.cloud.state import State
from local.edge.app import create_app
from local.invoker import Invoker

DEFAULT_PORT = 4566


def sockets_on(port: int, state: State, report: Callable[[str], None]) -> list[socket.socket]:
    """Raises CannotListen."""
    return listen.sockets(state, listen.LOOPBACK, port, report, name="edge", setting="EDGE_PORT")


def endpoint(sockets: Sequence[socket.socket]) -> str:
    return f"http://localhost:{sockets[0].getsockname()[1]}"


def role(settings: Mapping[str, str], url: str) -> dict[str, str]:
    """What AWS's clients take endpoint and keys from."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": settings.get("MINIO_ACCESS_KEY", ""),
        "AWS_SECRET_ACCESS_KEY": settings.get("MINIO_SECRET_KEY", ""),
    }


@contextlib.asynccontextmanager
async def serving(
    sockets: list[socket.socket],
    settings: Mapping[str, str],
    invoker: Invoker,
    queue: EventQueue,
    *,
    gateway: Callable[[], str | None],
) -> AsyncIterator[str]:
    """Serves AWS's APIs on these sockets while the block runs; their endpoint."""
    access, secret, objects = (settings.get(f"MINIO_{name}") for name in ("ACCESS_KEY", "SECRET_KEY", "HOST"))
    app = create_app(
        invoker,
        lambda: invoker.template,
        credentials={access: secret} if access and secret else {},
        objects_url=objects if not objects or "://" in objects else f"http://{objects}",
        queue=queue,
        gateway=gateway,
    )
    async with contextlib.aclosing(app), listen.serving(app, sockets):
        yield endpoint(sockets)
