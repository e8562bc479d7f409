"""`Local`: a template's functions as a test calls them, by HTTP, by events, through queues and schedules."""

import asyncio
import contextlib
import json
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self, TypeVar

import httpx
import pika  # type: ignore[import-untyped] # pika ships no py.typed
from pika.exceptions import UnroutableError  # type: ignore[import-untyped] # as above

from local import template as templates
from local.cloud import environment
from local.cloud.broker import Broker
from local.cloud.declarations import declare_missing
from local.events import Shape
from local.gateway.app import Application, create_app
from local.invocation import Invocation
from local.invoker import Invoker
from local.template import Template
from local.template.spec import QueueMapping
from local.testing.caller import Caller
from local.testing.in_process import InProcess
from local.triggers.queue import QueueTrigger
from local.triggers.schedule import ScheduleTrigger

T = TypeVar("T")
_WINDOW_SECONDS = 0.05
_RETRY_SECONDS = (0.1, 1.0)


class NotInTemplate(Exception):
    """The template has no such URL, queue or schedule; the text says what it has."""


class NotHandled(Exception):
    """No invocation had the message in time."""


class Local:
    """Use it in a `with` block. `settings` are the template's parameters, as in `.env`, which they replace.

    In process: handlers run in the test's own thread, with their variables set only for that time; they know no limits,
    and `raises` lets their exceptions out. In sandboxes they are what `facet up` makes of them.
    """

    def __init__(
        self,
        template: Path | str,
        *,
        mode: Literal["in_process", "sandbox"] = "in_process",
        settings: Mapping[str, str] | None = None,
        raises: bool = False,
    ) -> None:
        path = Path(template)
        path = (path / "template.yaml" if path.is_dir() else path).resolve()
        if settings is None:
            named = templates.load(path, environment.effective(path.parent)).settings
            settings = environment.effective(path.parent, named)
        self.settings = dict(settings)
        self.template: Template = templates.load(path, self.settings)
        self.published: set[str] = set()
        """The queues that messages were published to."""
        self._caller, self._mode, self._raises = Caller(), mode, raises
        self._invoker: InProcess | Invoker
        self._gateways: dict[Shape | None, Application] = {}
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as closing:
            closing.enter_context(self._caller)
            if self._mode == "in_process":
                self._invoker = InProcess(self.template, raises=self._raises)
            else:
                self._invoker = invoker = self._sandboxes(self._folder(closing))
                closing.callback(self.complete, lambda: invoker.stop(grace=1.0))
                self.complete(invoker.start)
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.close()

    def _sandboxes(self, logs: Path) -> Invoker:
        return Invoker(self.template, logs=logs, report=lambda line: None)

    def http(self, function: str | None = None, *, shape: Shape | None = None, **options: Any) -> httpx.Client:
        """A client of a function's URL, or of the whole API; `options` are those of httpx.Client."""
        transport = _Transport(self.complete, self._gateway(shape))
        return httpx.Client(transport=transport, base_url=f"http://localhost{self._base(function)}", **options)

    def invoke(self, name: str, event: Mapping[str, Any] | bytes = b"{}") -> Invocation:
        """Call the function with this event, as `facet invoke --event` does."""
        if isinstance(self._invoker, InProcess):
            return self._invoker.call(name, event)
        invoker = self._invoker
        return self.complete(lambda: invoker.invoke(name, event))

    def module(self, function: str) -> ModuleType:
        """The module of a function's handler in this process, for a test to look at or to patch."""
        assert isinstance(self._invoker, InProcess), "the modules of sandboxes are out of reach"
        return self._invoker.module(function)

    def publish(
        self,
        queue: str,
        body: bytes | str | Mapping[str, Any],
        *,
        headers: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> "Publication":
        """Put a message into a queue of the broker; `wait` on what is returned lets the queue's function have it."""
        mapping = next((each for each in self.template.queues if each.queue == queue), None)
        if mapping is None:
            known = ", ".join(each.queue for each in self.template.queues) or "none"
            raise NotInTemplate(f"no function has the queue {queue}; queues of this template: {known}")
        message_id = message_id or str(uuid.uuid4())
        raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        properties = pika.BasicProperties(
            content_type="application/json" if isinstance(body, Mapping) else None,
            headers=dict(headers) if headers else None,
            message_id=message_id,
            delivery_mode=2,
        )
        with pika.BlockingConnection(self._broker()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            try:
                channel.basic_publish("", queue, raw, properties, mandatory=True)
            except UnroutableError:
                raise NotInTemplate(
                    f"the broker has no queue {queue}; Local.declare makes those of the template"
                ) from None
        self.published.add(queue)
        return Publication(self, mapping, message_id)

    def run(self, schedule: str, *, at: datetime | None = None) -> Invocation:
        """Let the schedule of this name, or of the function of this name, be due: now or at another time."""
        found = next((each for each in self.template.schedules if schedule in (each.name, each.function)), None)
        if found is None:
            known = ", ".join(each.name for each in self.template.schedules) or "none"
            raise NotInTemplate(f"there is no schedule {schedule}; schedules of this template: {known}")
        return self.complete(lambda: ScheduleTrigger(found, self._invoker.invoke).fire(at))

    def declare(self) -> None:
        """Make the queues of the template that nobody has declared, as `facet up` does."""
        at = {**environment.DEFAULTS, **self.settings}
        if names := [each.queue for each in self.template.queues]:
            declare_missing(Broker.by(at), names, at["RABBITMQ_QUEUE_TYPE"], lambda line: None)

    def purge(self) -> None:
        """Empty the queues that were published to: what failed would come again to the next who waits."""
        if self.published:
            with pika.BlockingConnection(self._broker()) as connection:
                channel = connection.channel()
                for queue in self.published:
                    channel.queue_purge(queue)
            self.published.clear()

    def complete(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something on the event loop of this client, and wait for it."""
        return self._caller.run(work)

    async def handled(self, publication: "Publication", timeout: float) -> Invocation:
        """The next invocation that has the message. Raises NotHandled."""
        found: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
        reports: list[str] = []

        async def invoke(name: str, event: Mapping[str, Any] | bytes, **how: Any) -> Invocation:
            try:
                invocation = await self._invoker.invoke(name, event, **how)
            except Exception as exc:
                if publication.is_in(event) and not found.done():
                    found.set_exception(exc)
                raise
            if publication.is_in(event) and not found.done():
                found.set_result(invocation)
            return invocation

        mapping = replace(publication.mapping, window_seconds=min(publication.mapping.window_seconds, _WINDOW_SECONDS))
        trigger = QueueTrigger(mapping, self._broker(), invoke, report=reports.append, backoff=_RETRY_SECONDS)
        trigger.start()
        try:
            async with asyncio.timeout(timeout):
                return await found
        except TimeoutError:
            text = f"no invocation of {mapping.function} had message {publication.message_id} within {timeout:g} s"
            raise NotHandled("; ".join([text, *reports])) from None
        finally:
            await trigger.stop()

    def _broker(self) -> pika.ConnectionParameters:
        at = {**environment.DEFAULTS, **self.settings}
        if not {"RABBITMQ_HOST", "RABBITMQ_USER", "RABBITMQ_PASSWORD"} <= at.keys():
            raise NotInTemplate("the settings name no broker: RABBITMQ_HOST, RABBITMQ_USER and RABBITMQ_PASSWORD")
        account = pika.PlainCredentials(at["RABBITMQ_USER"], at["RABBITMQ_PASSWORD"])
        return pika.ConnectionParameters(at["RABBITMQ_HOST"], int(at["RABBITMQ_PORT"]), at["RABBITMQ_VHOST"], account)

    def _base(self, function: str | None) -> str:
        if function is None:
            return ""
        spec = self.template.functions.get(function)
        if spec and spec.url:
            return f"/fn/{function}"
        if spec and spec.routes:
            return ""
        known = ", ".join(name for name, each in self.template.functions.items() if each.url or each.routes)
        raise NotInTemplate(f"no function {function} is reached by HTTP, only {known}; see Local.invoke")

    def _gateway(self, shape: Shape | None) -> Application:
        if shape not in self._gateways:
            self._gateways[shape] = create_app(self.template, self._invoker, shape=shape)
        return self._gateways[shape]

    @staticmethod
    def _folder(closing: contextlib.ExitStack) -> Path:
        return Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="facet-local-")))


@dataclass(frozen=True)
class Publication:
    """A message in a queue."""

    local: Local = field(repr=False)
    mapping: QueueMapping
    message_id: str

    def wait(self, timeout: float = 30.0) -> Invocation:
        """Let the queue's function have messages until it has had this one; that invocation.

        When it failed, the message is in the queue again: another `wait` is its redelivery. Raises NotHandled.
        """
        return self.local.complete(lambda: self.local.handled(self, timeout))

    def is_in(self, event: Mapping[str, Any] | bytes) -> bool:
        """Whether the event has this message."""
        given = json.loads(event) if isinstance(event, bytes) else event
        records = [record for batch in given["rmqMessagesByQueue"].values() for record in batch]
        return any(record["basicProperties"]["messageId"] == self.message_id for record in records)


class _Transport(httpx.BaseTransport):
    """Hands requests to an ASGI application, without sockets."""

    def __init__(self, complete: Callable[[Callable[[], Awaitable[httpx.Response]]], httpx.Response], app: Any) -> None:
        self._complete, self._app = complete, httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()

        async def answered() -> httpx.Response:
            response = await self._app.handle_async_request(request)
            body = b"".join([chunk async for chunk in response.aiter_raw()])
            return httpx.Response(response.status_code, headers=response.headers, content=body)

        return self._complete(answered)
