"""The edge on its port: LocalStack's where it is free."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

from local.asynchronous import EventQueue
from local.cloud import listen
from local.cloud.state import State
from local.edge.app import create_app
from local.invoker import Invoker

DEFAULT_PORT = 4566


@contextlib.asynccontextmanager
async def serving(
    state: State,
    settings: Mapping[str, str],
    invoker: Invoker,
    queue: EventQueue,
    *,
    port: int,
    gateway: Callable[[], str | None],
    report: Callable[[str], None],
) -> AsyncIterator[str]:
    """Serves AWS's APIs on loopback while the block runs; their endpoint. Raises CannotListen."""
    access, secret, objects = (settings.get(f"MINIO_{name}") for name in ("ACCESS_KEY", "SECRET_KEY", "HOST"))
    sockets = listen.sockets(state, listen.LOOPBACK, port, report, name="edge", setting="EDGE_PORT")
    app = create_app(
        invoker,
        lambda: invoker.template,
        credentials={access: secret} if access and secret else {},
        objects_url=objects if not objects or "://" in objects else f"http://{objects}",
        queue=queue,
        gateway=gateway,
    )
    async with contextlib.aclosing(app), listen.serving(app, sockets):
        yield f"http://localhost:{sockets[0].getsockname()[1]}"
