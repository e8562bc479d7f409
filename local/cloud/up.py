"""`facet up`: brings services, functions, triggers and the agent to life, and takes them down again."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pika  # type: ignore[import-untyped] # pika ships no py.typed

from local import manifest
from local.cloud import control, environment, listen
from local.cloud.parts import PARTS
from local.cloud.project import Project
from local.cloud.state import State
from local.gateway.app import RequestLine, create_app
from local.invoker import Invoker, UnknownFunction
from local.sandbox.launcher import LaunchFailed
from local.sandbox.pool import Refused
from local.services import agent, rabbitmq
from local.services.stack import start_services
from local.services.supervisor import Status, Supervisor
from local.template import Template, load
from local.triggers.queue import QueueTrigger
from local.triggers.schedule import ScheduleTrigger

Report = Callable[[str], None]


class UpFailed(Exception):
    """The stack cannot come up; the text names the cause and the next command."""


@dataclass(frozen=True)
class Options:
    """What `facet up` was asked for. `once` ends as soon as all is ready; `revision` is where migrations go."""

    parts: frozenset[str] = frozenset(PARTS)
    limits: str = "local"
    once: bool = False
    revision: str = "head"


@dataclass
class Stack:
    """What one `facet up` runs, and what `facet status` tells of it."""

    project: Project
    state: State
    options: Options
    report: Report
    supervisor: Supervisor = field(init=False)
    settings: dict[str, str] = field(default_factory=dict)
    template: Template | None = None
    invoker: Invoker | None = None
    triggers: list[QueueTrigger | ScheduleTrigger] = field(default_factory=list)
    gateway: str | None = None
    migrated: Any = None
    ready: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.report, run=self.state.run)

    async def run(self) -> None:
        """Runs until `stopping` is set.

        Raises UpFailed, ServiceFailed, LaunchFailed, TemplateError and EnvironmentUnreadable.
        """
        verbs = {"status": self._status, "invoke": self._invoke, "stop": self._stop}
        async with contextlib.AsyncExitStack() as running:
            running.push_async_callback(self.supervisor.stop)
            await self.supervisor.take_over()
            await running.enter_async_context(control.serve(self.state.run, verbs))
            starting = asyncio.create_task(self._start(running))
            stopping = asyncio.create_task(self.stopping.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                self.ready = True
                self._announce()
                if not self.options.once:
                    await stopping
                self.ready = False
            stopping.cancel()
            starting.cancel()
            await asyncio.wait({starting})
            self.report("stopping")

    async def _start(self, running: contextlib.AsyncExitStack) -> None:
        parts = self.options.parts
        self.settings = settings(self.project, self.report)
        load(self.project.template, self.settings)  # what is wrong there shows before anything is started
        if "services" in parts:
            self.settings |= await start_services(self.state, self.settings, self.supervisor, self.report)
        elif "migrate" in parts and self.settings.get("RABBITMQ_MANAGEMENT_URL"):
            await rabbitmq.provision({**environment.DEFAULTS, **self.settings})
        self.template = load(self.project.template, self.settings)
        for warning in (*self.template.warnings, *_syntax_errors(self.template)):
            self.report(f"template: {warning}")
        if parts & {"migrate", "functions", "triggers"}:
            self.invoker = await self._start_invoker(running, self.template)
            if "migrate" in parts and "migrate" in self.template.functions:
                await self._migrate(self.invoker)
        if self.invoker and "triggers" in parts:
            await self._start_triggers(running, self.template, self.invoker)
        if self.invoker and "functions" in parts:
            self.gateway = await running.enter_async_context(self._serve(self.template, self.invoker))
        if "agent" in parts:
            await self._start_agent()

    async def _start_invoker(self, running: contextlib.AsyncExitStack, template: Template) -> Invoker:
        if template.missing:
            raise UpFailed(f"These settings have no value: {', '.join(template.missing)}. Put them into .env.")
        invoker = Invoker(
            template,
            logs=self.state.log("functions").with_suffix(""),
            limits="lambda" if self.options.limits == "lambda" else "local",
            report=self.report,
        )
        running.push_async_callback(invoker.stop, grace=2.0)
        await invoker.start()
        self.report(f"functions: {len(template.functions)} of {template.path.name}")
        return invoker

    async def _migrate(self, invoker: Invoker) -> None:
        answer = await invoker.invoke("migrate", {"revision": self.options.revision})
        self.migrated = json.loads(answer.payload)
        if answer.function_error:
            raise UpFailed(f"The migration failed: {self.migrated['errorMessage']}\nMore of it: facet logs migrate")
        self.report(f"migrate: schema {self.migrated['schema']}, queues {', '.join(self.migrated['queues'])}")

    async def _start_agent(self) -> None:
        if not agent.installed():
            self.report("agent: its packages are not installed here, so tasks stay PENDING (`make up` installs them)")
            return
        await self.supervisor.start(agent.program(self.state, self.settings))
        self.report("agent: ready")

    async def _start_triggers(self, running: contextlib.AsyncExitStack, template: Template, invoker: Invoker) -> None:
        at = self.settings
        if template.queues and not {"RABBITMQ_HOST", "RABBITMQ_USER", "RABBITMQ_PASSWORD"} <= at.keys():
            raise UpFailed("The queue triggers need RABBITMQ_HOST, RABBITMQ_USER and RABBITMQ_PASSWORD.")
        broker = pika.ConnectionParameters(
            at.get("RABBITMQ_HOST"),
            self._number("RABBITMQ_PORT", 5672),
            at.get("RABBITMQ_VHOST", "/"),
            pika.PlainCredentials(at.get("RABBITMQ_USER"), at.get("RABBITMQ_PASSWORD")),
        )
        queues = [QueueTrigger(each, broker, invoker.invoke, report=self.report) for each in template.queues]
        floor = self._number("SCHEDULE_FLOOR_SECONDS", 5)
        schedules = [
            ScheduleTrigger(each, invoker.invoke, fastest=floor, report=self.report) for each in template.schedules
        ]
        for queue in queues:
            running.push_async_callback(queue.stop, grace=2.0)
            queue.start()
        for schedule in schedules:
            running.push_async_callback(schedule.stop)
            schedule.start()
        self.triggers = [*queues, *schedules]

    @contextlib.asynccontextmanager
    async def _serve(self, template: Template, invoker: Invoker) -> AsyncIterator[str]:
        """The gateway while the block runs; its URL."""
        host = self.settings.get("APP_HOST", listen.LOOPBACK)
        wanted = self._number("APP_PORT", listen.DEFAULT_PORT)
        sockets = listen.sockets(self.state, host, wanted, self.report)
        hosts = [name.strip() for name in self.settings.get("APP_ALLOWED_HOSTS", "").split(",")]
        app = create_app(template, invoker, hosts=filter(None, hosts), on_request=self._answered)
        async with listen.serving(app, sockets):
            yield f"http://localhost:{sockets[0].getsockname()[1]}"

    def _number(self, name: str, default: int) -> int:
        try:
            return int(self.settings.get(name, default))
        except ValueError:
            raise UpFailed(f"{name} is {self.settings[name]!r}, which is no number. Correct it in .env.") from None

    def _answered(self, line: RequestLine) -> None:
        cold = ", cold" if line.cold else ""
        function = line.function or "gateway"
        self.report(f"{line.method} {line.path} {line.status} {function} {line.duration_ms:.0f} ms{cold}")

    def _announce(self) -> None:
        status = self._described()
        for name in ("api", "docs"):
            if name in status:
                self.report(f"{name}: {status[name]}")
        self.report("ready")

    # ---- what the command line asks ---------------------------------------------------------------------------

    async def _status(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._described()

    async def _stop(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.stopping.set()
        return {"pid": os.getpid()}

    async def _invoke(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self.invoker is None:
            raise control.Refused("Functions are not running yet, or not in this `facet up`. See `facet status`.")
        try:
            invocation = await self.invoker.invoke(arguments["name"], arguments["event"])
        except (UnknownFunction, LaunchFailed, Refused) as exc:
            raise control.Refused(str(exc)) from exc
        return {
            "request_id": invocation.request_id,
            "payload": invocation.payload.decode(errors="replace"),
            "function_error": invocation.function_error,
            "log": invocation.log,
        }

    def _described(self) -> dict[str, Any]:
        programs = self.supervisor.status()
        described: dict[str, Any] = {
            "ready": self.ready
            and all(program.state == "running" for program in programs)
            and all(trigger.alive for trigger in self.triggers),
            "running": True,
            "pid": os.getpid(),
            "state": str(self.state.root),
            "services": {program.name: self._service(program) for program in programs},
            "functions": {},
        }
        if self.template and self.gateway:
            prefix = self.settings.get("PATH_PREFIX", environment.DEFAULTS["PATH_PREFIX"])
            prefixed = any(route.path.startswith(prefix) for route in self.template.routes)
            described["gateway"] = self.gateway
            described["api"] = self.gateway + (prefix if prefixed else "")
            if any(route.path == "/docs" for route in self.template.routes):
                described["docs"] = f"{self.gateway}/docs"
            rows = [manifest.row(spec, self.gateway) for spec in self.template.functions.values()]
            described["functions"] = {row["name"]: row for row in rows}
        return described

    def _service(self, program: Status) -> dict[str, Any]:
        known = {"state": program.state, "pid": program.pid, "restarts": program.restarts}
        address = {
            "postgres": {"host": "POSTGRES_HOST", "port": "POSTGRES_PORT", "database": "POSTGRES_DB"},
            "rabbitmq": {"host": "RABBITMQ_HOST", "port": "RABBITMQ_PORT", "vhost": "RABBITMQ_VHOST"},
            "objects": {"url": "MINIO_HOST"},
        }.get(program.name, {})
        found = {key: self.settings.get(name) for key, name in address.items()}
        return known | {key: int(value) if key == "port" and value else value for key, value in found.items()}


def _syntax_errors(template: Template) -> Iterator[str]:
    """Handlers that cannot be imported as they stand; the others work all the same."""
    for spec in template.functions.values():
        source = spec.code / f"{spec.handler.rpartition('.')[0]}.py"
        try:
            compile(source.read_bytes(), source, "exec")
        except (OSError, SyntaxError, ValueError) as exc:
            yield f"{spec.logical_id}: its handler cannot be imported: {exc}"


def settings(project: Project, report: Report) -> dict[str, str]:
    """`.env`, written first where there is none and the environment has no secrets either, overruled by the latter.

    Raises EnvironmentUnreadable.
    """
    if "SECRET_KEY" not in environment.overruling() and not environment.path(project.root).exists():
        report(f"settings: wrote {environment.create(project.root)} with fresh secrets")
    return environment.effective(project.root)


async def serve(project: Project, options: Options, report: Report) -> Any:
    """Runs a stack until a signal or `facet down`; the migration's result. Raises what Stack.run raises."""
    stack = Stack(project, State.open(project.root), options, report)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stack.stopping.set)
    await stack.run()
    return stack.migrated
