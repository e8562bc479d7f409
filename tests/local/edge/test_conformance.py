"""What a handler answers, raises or dies of becomes the same in a sandbox as under AWS's own runtime.

What differs on purpose: a handler's module has a name of its own instead of `handler`, so that tools can load many,
and hence other frames of importlib in the trace of a failed import; the log shows a trace in lines instead of carriage
returns and no-break spaces; KeyboardInterrupt, which nobody raises there, ends in a status instead of a signal.
"""

import asyncio
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.invocation import Invocation
from local.invoker import Invoker
from local.sandbox.how import How
from local.template import load
from tests.local.edge.answers import handler as answers
from tests.local.emulator.lab import SECRET, copy_sample

HANDLERS = {
    "Answers": "handler.app",
    "Undotted": "handler",
    "Absent": "absent.app",
    "BuiltIn": "sys.app",
    "InPackage": "package.module.app",
    "InFolder": "package/module.app",
    "Nameless": "handler.",
}
FUNCTION = """
  {}Function:
    Type: AWS::Serverless::Function
    Properties: {{CodeUri: functions/answers, Handler: {}, Timeout: 3}}
"""


@dataclass
class Both:
    """The same functions in sandboxes and under awslambdaric."""

    runner: asyncio.Runner
    invokers: tuple[Invoker, Invoker]

    def ask(self, name: str, event: Any, how: How) -> tuple[Invocation, Invocation]:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()

        async def ask() -> Any:
            same = {"request_id": str(uuid.uuid4()), "trace": "Root=1-2-3"}
            return await asyncio.gather(*(one.invoke(name, body, how=how, **same) for one in self.invokers))

        first, second = self.runner.run(ask())
        return first, second

    def recycle(self, name: str) -> None:
        async def recycle() -> None:
            for one in self.invokers:
                one.recycle(name)

        self.runner.run(recycle())

    def answer(self, name: str, event: Any, how: How = How()) -> list[tuple[str | None, Any]]:  # noqa: B008
        """Of each: whether it failed, and the payload as far as it can be the same."""
        return [(done.function_error, _comparable(done)) for done in self.ask(name, event, how)]


def _comparable(done: Invocation) -> Any:
    if done.function_error is None:
        return done.payload
    error = json.loads(done.payload)
    if "stackTrace" in error:  # the sandbox imports handlers under names of their own
        frames = [frame for frame in error["stackTrace"] if "importlib" not in frame]
        error["stackTrace"] = [re.sub(r"repeated \d+ more", "repeated often", frame) for frame in frames]
    return error


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("both")
    project = copy_sample(folder)
    shutil.copytree(Path(answers.__file__).parent, project / "functions" / "answers")
    package = project / "functions" / "answers" / "package"
    package.mkdir()
    (package / "module.py").write_text("def app(event, context):\n    return 'in a package'\n")
    source = project / "template.yaml"
    enough = source.read_text().replace("Timeout: 1\n", "Timeout: 5\n")  # for either to print or to give much
    source.write_text(enough + "".join(FUNCTION.format(*item) for item in HANDLERS.items()))
    template = load(source, {"SECRET_KEY": SECRET})
    sandboxes = Invoker(template, logs=folder / "sandboxes")
    clients = Invoker(template, logs=folder / "clients", runtime="awslambdaric")
    with asyncio.Runner() as runner:
        try:
            runner.run(sandboxes.start())
            runner.run(clients.start())
            yield Both(runner, (sandboxes, clients))
        finally:
            runner.run(sandboxes.stop(grace=0.5))
            runner.run(clients.stop(grace=0.5))


@pytest.mark.parametrize("name", answers.VALUES)
def test_what_a_handler_returns(both: Both, name: str) -> None:
    ours, theirs = both.answer("answers", {"value": name})
    assert ours == theirs


@pytest.mark.parametrize("name", answers.ERRORS)
def test_what_a_handler_raises(both: Both, name: str) -> None:
    ours, theirs = both.answer("answers", {"raise": name})
    assert ours == theirs
    assert ours[0] == "Unhandled"


@pytest.mark.parametrize("name", answers.CALLS)
def test_where_it_comes_from(both: Both, name: str) -> None:
    ours, theirs = both.answer("answers", {"call": name})
    assert ours == theirs
    assert ours[0] == "Unhandled"


EVENTS = [
    b"{",
    b"",
    b"null",
    b"\xff",
    b'"\xc3\xbc"',
    b"\xef\xbb\xbf{}",
    b'{"a": 1, "a": 2}',
    b"NaN",
    b"[1e400, 1.10, 123456789012345678901234567890]",
    b'"\\ud800"',
    b'"\\ud83d\\ude00"',
    b" [ 1 ]\n",
    b"[1] 2",
]


@pytest.mark.parametrize("event", EVENTS)
def test_what_an_event_is(both: Both, event: bytes) -> None:
    ours, theirs = both.answer("answers", event)
    assert ours == theirs


@pytest.mark.parametrize(
    "name",
    [
        *("broken_import", "broken_syntax", "no_handler", "raises_at_import", "dies_at_import"),
        *("undotted", "absent", "built_in", "in_package", "in_folder", "nameless"),
    ],
)
def test_what_cannot_be_imported(both: Both, name: str) -> None:
    ours, theirs = both.answer(name, {})
    assert ours == theirs


@pytest.mark.parametrize(
    "kind",
    [
        *("loop", "end_process", "signal_self", "close_streams", "give_much", "print_megabytes"),
        *("read_input", "recurse", "raise_exit", "log"),
    ],
)
def test_how_a_handler_ends(both: Both, kind: str) -> None:
    both.recycle("trouble")  # its streams may be closed, its reports still under way
    ours, theirs = both.answer("trouble", {"kind": kind})
    assert ours == theirs


def test_an_interrupt_differs_in_how_its_end_is_named(both: Both) -> None:
    ours, theirs = (done.payload.decode() for done in both.ask("answers", {"call": "interrupt"}, How()))
    assert "exit status 1" in ours
    assert ours.replace("exit status 1", "signal: interrupt") == theirs


@pytest.mark.parametrize("client", [None, '{"custom": {"ü": 1}, "env": {}, "client": {"app_title": "t"}}', "{}"])
def test_what_the_context_tells(both: Both, client: str | None) -> None:
    ours, theirs = both.answer("answers", {"context": True}, How(client_context=client))
    assert json.loads(ours[1]) == json.loads(theirs[1])
    assert ours[0] is None


def test_what_the_environment_is_like(both: Both) -> None:
    ours, theirs = (json.loads(done.payload) for done in both.ask("echo", {}, How()))
    differing = {"AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "PYTHONPATH", "LC_CTYPE"}
    own, other = (
        {name: value for name, value in one["environment"].items() if name not in differing} for one in (ours, theirs)
    )
    assert own == other
    assert ours["folder"] == theirs["folder"]
    assert ours["path"][:2] == theirs["path"][:2]
