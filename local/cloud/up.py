"""`facet up`: brings services, functions, triggers and the agent to life, and takes them down again."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pika  # type: ignore[import-untyped] # pika ships no py.typed

from local.asynchronous import EventQueue
from local.cloud import control, debug_ports, environment, handlers, listen, status
from local.cloud.answers import Answers
from local.cloud.broker import Broker
from local.cloud.declarations import declare_missing
from local.cloud.follow import following
from local.cloud.parts import PARTS
from local.cloud.project import Project, makes_avatars, services
from local.cloud.screen import Screen, possible
from local.cloud.state import State
from local.cloud.triggers import Triggers
from local.edge import serving as edge
from local.events import Shape
from local.gateway.app import Gateway, RequestLine, create_app
from local.invocation import Invocation
from local.invoker import Invoker, Runtime
from local.records.recorder import Recorder, is_on
from local.records.ring import Ring
from local.services import agent, rabbitmq
from local.services.stack import start_services
from local.services.supervisor import Supervisor
from local.suggestions import there_are
from local.template import Template, load
from local.tracing.cloud import Tracing
from local.tracing.collector import collecting
from local.triggers.queue import Profile

Report = Callable[[str], None]


class UpFailed(Exception):
    """The stack cannot come up; the text names the cause and the next command."""


@dataclass(frozen=True)
class Options:
    """What `facet up` was asked for. `once` ends as soon as all is ready; `revision` is where migrations go."""

    parts: frozenset[str] = frozenset(PARTS)
    limits: str = "local"
    profile: Profile = "lambda"
    shape: Shape | None = None
    runtime: Runtime = "sandbox"
    reload: bool = False
    honest_cold: bool = False
    debug: tuple[str, ...] = ()
    """Functions that wait for a debugger, as NAME or NAME:PORT."""
    once: bool = False
    revision: str = "head"
    plain: bool = True
    """Lines only, also in a terminal."""


@dataclass
class Stack:
    """What one `facet up` runs: started step by step in `_start`, ended in the opposite order."""

    project: Project
    state: State
    options: Options
    report: Report
    supervisor: Supervisor = field(init=False)
    settings: dict[str, str] = field(default_factory=dict)
    template: Template | None = None
    refused: dict[str, str] = field(default_factory=dict)
    """The template's file and what keeps its present text from being followed."""
    invoker: Invoker | None = None
    triggers: Triggers | None = None
    app: Gateway | None = None
    gateway: str | None = None
    events: EventQueue | None = None
    edge: str | None = None
    recorder: Recorder | None = None
    debug: dict[str, int] = field(default_factory=dict)
    """The ports on which functions wait for a debugger."""
    tracing: Tracing | None = None
    migrated: Any = None
    screen: Screen | None = None
    ready: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    """What has been started ends with it."""

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.report, run=self.state.run)

    async def run(self) -> None:
        """Runs until `stopping` is set.

        Raises UpFailed, ServiceFailed, LaunchFailed, TemplateError and EnvironmentUnreadable.
        """
        async with self.running:
            self.running.push_async_callback(self.supervisor.stop)
            await self.supervisor.take_over()
            await self.running.enter_async_context(control.serve(self.state.run, Answers(self).verbs))
            starting = asyncio.create_task(self._start())
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

    async def _start(self) -> None:
        parts = self.options.parts
        self.settings = settings(self.project, self.report)
        draft = load(self.project.template, self.settings)  # what is wrong there shows before anything is started
        if "services" in parts:
            wanted = services(draft)
            self.settings |= await start_services(self.state, self.settings, self.supervisor, self.report, wanted)
        elif "migrate" in parts and self.settings.get("RABBITMQ_MANAGEMENT_URL"):
            await rabbitmq.provision({**environment.DEFAULTS, **self.settings})
        self.template = template = load(self.project.template, self.settings)
        for warning in (*template.warnings, *handlers.problems(template)):
            self.report(f"template: {warning}")
        if parts & {"migrate", "functions", "triggers"}:
            self.recorder = self._start_recorder()
            if self.recorder:
                await self._start_tracing(self.recorder.ring)
            port = self._number("EDGE_PORT", edge.DEFAULT_PORT)
            sockets = edge.sockets_on(port, self.state, self.report) if "functions" in parts else []
            for each in sockets:
                self.running.callback(each.close)  # also when it comes to nothing before they are served
            # Facet's own functions have keys of their own, by their settings.
            role = {} if makes_avatars(template) or not sockets else edge.role(self.settings, edge.endpoint(sockets))
            self.invoker = invoker = await self._start_invoker(template, role)
            if "migrate" in parts and "migrate" in template.functions:
                await self._migrate(invoker)
            self.events = events = self._start_events(invoker)
            if "triggers" in parts:
                self.triggers = await self._start_triggers(template, invoker, events)
            if "functions" in parts:
                self.gateway = await self._start_gateway(template, invoker)
                serving = edge.serving(sockets, self.settings, invoker, events, gateway=lambda: self.gateway)
                self.edge = await self.running.enter_async_context(serving)
            if self.options.reload:
                await self.running.enter_async_context(following(self, invoker))
        if "agent" in parts and makes_avatars(template):
            await self._start_agent()

    def _start_recorder(self) -> Recorder | None:
        whole = self.options.parts >= {"services", "functions"}
        if not is_on(self.settings.get("FACET_RECORDS", ""), whole=whole):
            return None
        ring = Ring(self.state.records, report=self.report)
        self.running.callback(ring.close)
        logs = self.state.log("functions").with_suffix("")
        return Recorder(ring, lambda: self.template.functions if self.template else {}, logs=logs)

    async def _start_tracing(self, ring: Ring) -> None:
        endpoint = await self.running.enter_async_context(collecting(self.state, ring.spans, self.report))
        self.settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} | self.settings
        self.tracing = Tracing(ring)
        self.running.callback(self.tracing.flush)

    async def _start_invoker(self, template: Template, role: Mapping[str, str]) -> Invoker:
        self.debug = debug_ports.of(self.options.debug)
        if unknown := self.debug.keys() - template.functions.keys():
            name = min(unknown)
            raise UpFailed(f"There is no function {name} to debug. {there_are(template.functions, name)}")
        if template.missing:
            place = environment.path(self.project.root)
            raise UpFailed(f"These settings have no value: {', '.join(template.missing)}. Put them into {place}.")
        invoker = Invoker(
            template,
            logs=self.state.log("functions").with_suffix(""),
            limits="lambda" if self.options.limits == "lambda" else "local",
            runtime=self.options.runtime,
            honest_cold=self.options.honest_cold,
            debug=self.debug,
            hidden=[self.state.root, environment.path(self.project.root).resolve()],
            role=role,
            report=self.report,
            on_invocation=self._ended,
            on_spans=self.tracing.spans if self.tracing else None,
        )
        self.running.push_async_callback(invoker.stop, grace=2.0)
        await invoker.start()
        self.report(f"functions: {len(template.functions)} of {template.path.name}")
        return invoker

    async def _migrate(self, invoker: Invoker) -> None:
        answer = await invoker.invoke("migrate", {"revision": self.options.revision})
        self.migrated = json.loads(answer.payload)
        if answer.function_error:
            raise UpFailed(f"The migration failed: {self.migrated['errorMessage']}\nMore of it: facet logs migrate")
        if makes_avatars(invoker.template):
            self.report(f"migrate: schema {self.migrated['schema']}, queues {', '.join(self.migrated['queues'])}")

    def _start_events(self, invoker: Invoker) -> EventQueue:
        seconds = self._number("ASYNC_RETRY_SECONDS", 2)
        events = EventQueue(invoker, lambda: invoker.template, retry_seconds=seconds, report=self.report)
        self.running.push_async_callback(events.stop, grace=2.0)
        return events

    async def _start_triggers(self, template: Template, invoker: Invoker, events: EventQueue) -> Triggers:
        floor = self._number("SCHEDULE_FLOOR_SECONDS", 5)
        triggers = Triggers(
            invoker,
            events,
            self._broker(),
            floor=floor,
            profile=self.options.profile,
            report=self.report,
            declare=self._declare if any(each.name == "rabbitmq" for each in self.supervisor.status()) else None,
        )
        self.running.push_async_callback(triggers.stop)
        await triggers.follow(template)
        return triggers

    def _declare(self, queues: Collection[str]) -> None:
        at = {**environment.DEFAULTS, **self.settings}
        declare_missing(Broker.by(at), queues, at["RABBITMQ_QUEUE_TYPE"], self.report)

    def _broker(self) -> pika.ConnectionParameters | None:
        at = environment.DEFAULTS | self.settings | {"RABBITMQ_PORT": str(self._number("RABBITMQ_PORT", 5672))}
        named = {"RABBITMQ_HOST", "RABBITMQ_USER", "RABBITMQ_PASSWORD"} <= at.keys()
        return Broker.by(at).parameters() if named else None

    async def _start_gateway(self, template: Template, invoker: Invoker) -> str:
        """The gateway's URL."""
        host = self.settings.get("APP_HOST", listen.LOOPBACK)
        sockets = listen.sockets(self.state, host, self._number("APP_PORT", listen.DEFAULT_PORT), self.report)
        hosts = [name.strip() for name in self.settings.get("APP_ALLOWED_HOSTS", "").split(",")]
        self.app = create_app(
            template, invoker, hosts=filter(None, hosts), on_request=self._answered, shape=self.options.shape
        )
        app = self.tracing.requests(self.app) if self.tracing else self.app
        await self.running.enter_async_context(listen.serving(app, sockets))
        return f"http://localhost:{sockets[0].getsockname()[1]}"

    async def _start_agent(self) -> None:
        if not agent.installed():
            self.report("agent: its packages are not installed here, so tasks stay PENDING (`make up` installs them)")
            return
        await self.supervisor.start(agent.program(self.state, self.settings))
        self.report("agent: ready")

    def _number(self, name: str, default: int) -> int:
        try:
            return int(self.settings.get(name, default))
        except ValueError:
            raise UpFailed(f"{name} is {self.settings[name]!r}, which is no number. Correct it in .env.") from None

    def _ended(self, done: Invocation) -> None:
        if self.screen:
            self.screen.ended(done)
        if self.tracing and self.recorder:
            self.tracing.note(done)
            self.recorder(done)

    def _answered(self, line: RequestLine) -> None:
        if self.screen:
            self.screen.answered(line)
            return
        cold = ", cold" if line.cold else ""
        function = line.function or "gateway"
        self.report(f"{line.method} {line.path} {line.status} {function} {line.duration_ms:.0f} ms{cold}")

    def _announce(self) -> None:
        told = status.described(self)
        for name in ("api", "docs", "edge"):
            if name in told:
                self.report(f"{name}: {told[name]}")
        self.report("ready")


def settings(project: Project, report: Report) -> dict[str, str]:
    """`.env`, overruled by the environment of this process.

    Facet's own project gets an `.env` with fresh secrets where neither has any. In another one nothing is written but
    the secrets of the services, and these into its state. Raises EnvironmentUnreadable and TemplateError.
    """
    template = project.read()
    if not makes_avatars(template):
        environment.keep(project.root)
    elif "SECRET_KEY" not in environment.overruling() and not environment.path(project.root).exists():
        report(f"settings: wrote {environment.create(project.root)} with fresh secrets")
    for concern, advice in environment.concerns(project.root):
        report(f"settings: {concern}. {advice}")
    return environment.effective(project.root, template.settings)


async def serve(project: Project, options: Options, report: Report) -> Any:
    """Runs a stack until a signal or `facet down`; the migration's result. Raises what Stack.run raises."""
    screen = None if options.plain or not possible() else Screen()
    state = State.open(project.root)
    stack = Stack(project, state, options, screen.say if screen else report, screen=screen)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stack.stopping.set)
    with contextlib.closing(state):
        async with screen.showing(stack) if screen else contextlib.nullcontext():
            await stack.run()
    return stack.migrated
