"""What the verbs of the command line share; the groups `user`, `task`, … are modules beside it."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from local.cloud import project
from local.cloud.control import Client

_CONTROL = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
View = TypeVar("View", bound=Callable[..., Any])


class Text(click.ParamType[str]):
    """An option that is given is not empty: a variable that was never set must not widen what is done."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.strip():
            self.fail("is empty", param, ctx)
        return value


def template_option(view: View) -> View:
    return click.option("--template", type=click.Path(path_type=Path), help="Another project's template.yaml.")(view)


def json_option(view: View) -> View:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(view)


def operate(name: str, event: dict[str, Any]) -> Any:
    """The result of an internal function of the running stack. Raises NotRunning."""
    answer = Client.of(project.find()).call("invoke", name=name, event=event, timeout=None)
    result = json.loads(answer["payload"])
    if answer["function_error"]:
        raise click.ClickException(f"{result['errorType']}: {result['errorMessage']}")
    return result


def printable(text: str) -> str:
    """For a terminal without what it would obey: functions print what others have sent them."""
    return _CONTROL.sub("", text) if sys.stdout.isatty() or sys.stderr.isatty() else text


def timed_line(text: str, err: bool = False) -> None:
    """One plain line with the time, seen at once also through a pipe."""
    click.echo(f"{time.strftime('%H:%M:%S')}  {text}", err=err)
