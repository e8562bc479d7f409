"""The edge of the sample project on a real socket, before a real object store."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import boto3
import pytest
from botocore.config import Config

from local.asynchronous import EventQueue
from local.cloud import listen
from local.cloud.state import State
from local.edge.app import create_app
from local.invocation import Invocation
from local.invoker import Invoker
from local.template import load
from tests.local.emulator.lab import SECRET as SETTING
from tests.local.emulator.lab import copy_sample, unhurried
from tests.local.services.objects.server import ACCESS, SECRET, running

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

AGENT, AGENT_SECRET = "agent", "secret-of-the-agent"
ASYNCHRONOUS = """
  FlakyFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/trouble
      EventInvokeConfig:
        DestinationConfig:
          OnFailure: {Type: Lambda, Destination: !GetAtt ToldFunction.Arn}
          OnSuccess: {Type: Lambda, Destination: !GetAtt ToldFunction.Arn}
  ToldFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/tick, FunctionName: !Sub "${AWS::StackName}-is-told"}
  OnceFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/trouble, EventInvokeConfig: {MaximumRetryAttempts: 0}}
"""
T = TypeVar("T")


@dataclass
class Emulation:
    folder: Path
    invoker: Invoker
    queue: EventQueue
    port: int
    loop: asyncio.AbstractEventLoop
    invocations: list[Invocation] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def client(self, service: str, access: str = ACCESS, secret: str = SECRET, url: str | None = None) -> Any:
        config = Config(retries={"total_max_attempts": 1}, signature_version="s3v4" if service == "s3" else None)
        return boto3.client(
            service,
            endpoint_url=url or self.url,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            config=config,
        )


@contextmanager
def emulation(folder: Path, store: str) -> Iterator[Emulation]:
    """The sample's functions behind the edge, on an event loop of a thread's own."""
    project = copy_sample(folder)
    source = project / "template.yaml"
    source.write_text(unhurried(source.read_text()) + ASYNCHRONOUS)
    template = load(source, {"SECRET_KEY": SETTING})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    started, stopping = threading.Event(), asyncio.Event()
    found: list[Emulation] = []

    async def serve() -> None:
        invocations: list[Invocation] = []
        reports: list[str] = []
        invoker = Invoker(template, logs=folder / "logs", report=reports.append, on_invocation=invocations.append)
        await invoker.start()
        queue = EventQueue(invoker, lambda: template, retry_seconds=0.05, report=reports.append)
        app = create_app(
            invoker,
            lambda: template,
            credentials={ACCESS: SECRET},
            objects_url=store,
            queue=queue,
            gateway=lambda: "http://localhost:8080",
            hosts=["edge.test"],
        )
        sockets = listen.sockets(State.open(folder), listen.LOOPBACK, 0, reports.append)
        try:
            async with listen.serving(app, sockets):
                port = sockets[0].getsockname()[1]
                found.append(Emulation(folder, invoker, queue, port, loop, invocations, reports))
                started.set()
                await stopping.wait()
        finally:
            started.set()
            await app.aclose()
            await queue.stop(grace=1)
            await invoker.stop(grace=1)

    serving = asyncio.run_coroutine_threadsafe(serve(), loop)
    try:
        started.wait(30)
        if not found:
            serving.result(0)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        serving.result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulation]:
    owner = {"access_key": ACCESS, "secret_key": SECRET}
    agent = {"access_key": AGENT, "secret_key": AGENT_SECRET, "allow": {}}
    with (
        running(tmp_path_factory.mktemp("s3"), (owner, agent)) as store,
        emulation(tmp_path_factory.mktemp("edge"), store.url) as started,
    ):
        yield started


@pytest.fixture
def functions(edge: Emulation) -> Any:
    """boto3's client of Lambda."""
    return edge.client("lambda")


@pytest.fixture
def s3(edge: Emulation) -> "S3Client":
    return cast("S3Client", edge.client("s3"))
