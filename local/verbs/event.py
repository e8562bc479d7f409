"""`facet event`: print a valid event of any source, or say what is wrong with one."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

import click

from local.events import RmqMessage, Shape, cloud_event, event_for, rest_event, rmq_event, schedule_event
from local.events.check import check as checked
from local.verbs.requests import CannotBuild, content_of, parsed, request

_BROKER = "arn:aws:mq:us-east-1:000000000000:broker:local:b-00000000-0000-0000-0000-000000000000"
_SHAPES: dict[str, tuple[Shape, str]] = {
    "furl": ("furl", "a function URL (payload 2.0)"),
    "http-api": ("http", "an HTTP API (payload 2.0)"),
    "rest": ("rest", "a REST API (payload 1.0)"),
    "alb": ("alb", "an Application Load Balancer"),
}


@click.group()
def event() -> None:
    """Print a valid event of any source, or check one.

    \b
    facet event furl --method POST --path /tasks --header 'access-token: abc' --file photo.jpg
    facet event rmq --queue results --body @result.json --header source=agent --count 3
    facet event schedule --name nightly --at 2026-12-31T23:59:00Z > event.json
    facet event check event.json && facet invoke NAME --event event.json
    """


def _printed(event: dict[str, Any]) -> None:
    click.echo(json.dumps(event, indent=2, ensure_ascii=False))


def _http_command(name: str, shape: Shape, source: str) -> click.Command:
    @click.option("--method", help="GET, or POST where there is a body.")
    @click.option("--path", default="/", help="As sent: percent-encoded; it may have a query.")
    @click.option("--query", "queries", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
    @click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="May be repeated.")
    @click.option("--cookie", "cookies", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
    @click.option("--body", help="JSON or another text, or @FILE.")
    @click.option("--file", help="A file to upload as a form, as PATH or FIELD=PATH.")
    def command(
        method: str | None, path: str, stage: str | None = None, multi_value: bool = False, **parts: Any
    ) -> None:
        asked = request(method, path, **parts)
        if shape == "rest":
            _printed(rest_event(asked, stage=stage))
        else:
            route = "ANY /{proxy+}" if asked.path != "/" else "$default"
            parameters = {"proxy": asked.path[1:]}
            _printed(event_for("alb-multi" if multi_value else shape, asked, route=route, parameters=parameters))

    if shape == "rest":
        command = click.option("--stage", help="The API's stage, which stands before the path.")(command)
    if shape == "alb":
        command = click.option("--multi-value", is_flag=True, help="As a target group with multi-value headers.")(
            command
        )
    example = f"facet event {name} --method POST --path /tasks --header 'access-token: abc' --body '{{}}'"
    return click.command(name, help=f"A request through {source}.\n\n\b\n{example}")(command)


for _name, (_shape, _source) in _SHAPES.items():
    event.add_command(_http_command(_name, _shape, _source))


@event.command()
@click.option("--queue", required=True, help="The queue's name.")
@click.option("--vhost", default="/", show_default=True, help="The virtual host it is in.")
@click.option("--body", default="{}", help="The message: a text or @FILE.")
@click.option("--header", "-H", "headers", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option("--redelivered", is_flag=True, help="The broker has delivered the messages before.")
@click.option("--count", type=click.IntRange(1), default=1, help="How many messages the batch has.")
def rmq(queue: str, vhost: str, body: str, headers: Sequence[str], redelivered: bool, count: int) -> None:
    """A batch of a RabbitMQ queue (aws:rmq).

    \b
    facet event rmq --queue results --body @result.json --header source=agent --count 3
    """
    media_type, content = content_of(body)
    fields = dict(_pair(given) for given in headers)
    properties = {"contentType": media_type, "headers": fields or None, "deliveryMode": 2}
    messages = [RmqMessage(content, {**properties, "messageId": str(uuid.uuid4())}, redelivered) for _ in range(count)]
    _printed(rmq_event(queue, vhost, messages, broker_arn=_BROKER))


@event.command()
@click.option("--name", required=True, help="The schedule's.")
@click.option("--at", metavar="TIME", help="As 2026-12-31T23:59:00Z; now unless given.")
@click.option("--scheduler", is_flag=True, help="Of EventBridge Scheduler instead of a rule.")
def schedule(name: str, at: str | None, scheduler: bool) -> None:
    """What a schedule sends at a time.

    \b
    facet event schedule --name nightly --at 2026-12-31T23:59:00Z
    """
    try:
        time = datetime.fromisoformat(at) if at else datetime.now(UTC)
    except ValueError as exc:
        raise CannotBuild(f"--at takes a time like 2026-12-31T23:59:00Z, not {at!r}.") from exc
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    _printed(schedule_event(name, time, source="aws.scheduler" if scheduler else "aws.events"))


@event.command()
@click.option("--type", "type_", default="dev.facet.event", show_default=True, help="What has happened.")
@click.option("--source", default="/facet/event", show_default=True, help="Where it has happened.")
@click.option("--subject", help="What it has happened to.")
@click.option("--body", default="{}", help="The data: JSON, or @FILE.")
def cloudevent(type_: str, source: str, subject: str | None, body: str) -> None:
    """A CloudEvent 1.0 in structured mode.

    \b
    facet event cloudevent --type com.example.order --body '{"item": "cup"}'
    """
    media_type, data = content_of(body)
    event = cloud_event(
        type=type_,
        source=source,
        subject=subject,
        id=str(uuid.uuid4()),
        time=datetime.now(UTC),
        data=data,
        content_type=media_type,
    )
    _printed(event)


@event.command()
@click.argument("file", type=click.File("rb"))
def check(file: BinaryIO) -> None:
    """Say what source the event in FILE is of.

    Exit code 1, and each wrong field, when no source would send it.

    \b
    facet event check event.json
    """
    source = checked(parsed(file.read(), "FILE"))
    click.echo(f"An event of {source}." if source else "Plain JSON, which is an event of nobody but its sender.")


def _pair(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise CannotBuild(f"--header of a message takes NAME=VALUE, not {given!r}.")
    return name, value
