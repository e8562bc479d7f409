"""The `facet` command line: its verbs, their options and what they print."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from local.cloud import project
from local.cloud.control import Client, NotRunning
from local.cloud.parts import PARTS
from local.cloud.state import State
from local.verbs import json_option, operate, reported, template_option
from local.verbs.keys import apikey
from local.verbs.legacy import import_legacy
from local.verbs.tasks import task
from local.verbs.users import user


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="facet-backend", prog_name="facet")
def main() -> None:
    """Facet: avatars from photos, and the local cloud they are made in."""
    for argument in sys.argv:
        if not argument.isascii() and any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise click.UsageError(f"{argument!a} is not UTF-8.")


# ---- the stack ----------------------------------------------------------------------------------------------------


@main.command()
@click.option("--detach", "-d", is_flag=True, help="Return as soon as everything is ready.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Run only this part; may be repeated.")
@click.option("--no-agent", is_flag=True, help="Leave the reference agent out.")
@click.option("--limits", type=click.Choice(["local", "lambda"]), default="local", help="Payload limits.")
@template_option
@reported
def up(detach: bool, only: Sequence[str], no_agent: bool, limits: str, template: Path | None) -> None:
    """Start services, functions, triggers and the agent, and print their URLs.

    \b
    facet up                      until Ctrl-C
    facet up --detach             in the background; `facet down` ends it
    facet up --only services      PostgreSQL, RabbitMQ and the object store alone
    """
    found = project.find(template)
    if detach:
        from local.cloud import background

        flags = [flag for part in only for flag in ("--only", part)] + ["--limits", limits]
        background.start(found, flags + ["--no-agent"] * no_agent, click.echo)
        return
    from local.cloud import up as stack

    parts = frozenset(only or PARTS) - ({"agent"} if no_agent else set())
    options = stack.Options(parts=parts, limits=limits, once=parts == {"migrate"})
    asyncio.run(stack.serve(found, options, _line))


def _line(text: str, err: bool = False) -> None:
    """One plain line with the time, seen at once also through a pipe."""
    click.echo(f"{time.strftime('%H:%M:%S')}  {text}", err=err)


@main.command()
@template_option
@reported
def down(template: Path | None) -> None:
    """Stop everything that `facet up` started."""
    from local.cloud import background

    stopped = background.stop(State.open(project.find(template).root), click.echo)
    click.echo("Facet is down." if stopped else "Facet was not running.")


@main.command()
@json_option
@template_option
@reported
def status(as_json: bool, template: Path | None) -> None:
    """Tell what runs and where; exit code 0 when all of it is ready."""
    client = Client(State.open(project.find(template).root).run)
    try:
        answer = client.call("status")
    except NotRunning:
        if not as_json:
            raise
        click.echo(json.dumps({"ready": False, "running": False}))
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _print_status(answer)
    sys.exit(0 if answer["ready"] else 1)


def _print_status(answer: dict[str, Any]) -> None:
    click.echo("ready" if answer["ready"] else "not ready")
    for url in ("api", "docs"):
        if url in answer:
            click.echo(f"  {url:<12} {answer[url]}")
    for name, service in answer["services"].items():
        place = service.get("url") or f"{service.get('host', '')}:{service.get('port', '')}".strip(":")
        restarts = f", {service['restarts']} restarts" if service.get("restarts") else ""
        click.echo(f"  {name:<12} {place} ({service['state']}{restarts})")


@main.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@template_option
@reported
def reset(yes: bool, template: Path | None) -> None:
    """Erase all local data: users, tasks, photos, avatars, messages, logs."""
    from local.cloud import background

    state = State.open(project.find(template).root)
    if not yes:
        click.confirm(f"Erase all data in {state.root}?", abort=True)
    background.erase(state, click.echo)
    click.echo("All local data is gone. `facet up` starts afresh.")


@main.command()
@json_option
@template_option
@reported
def doctor(as_json: bool, template: Path | None) -> None:
    """Check what Facet needs on this machine, and say what to do about what is missing."""
    from local.cloud import doctor as checks

    findings = checks.examine(project.find(template))
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.mark} {finding.name:<14} {finding.detail}")
            if finding.advice:
                click.echo(f"  {'':<14} {finding.advice}")
    sys.exit(any(finding.failed for finding in findings))


@main.command()
@template_option
@reported
def env(template: Path | None) -> None:
    """Write .env with fresh random secrets, unless there is one."""
    from local.cloud import environment

    root = project.find(template).root
    path = environment.path(root)
    if path.exists():
        click.echo(f"{path} is there already and was left alone.")
    else:
        click.echo(f"Wrote {environment.create(root)} with fresh secrets, readable by you alone.")


# ---- the tour -----------------------------------------------------------------------------------------------------


@main.command()
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", default="avatar.glb", type=click.Path(path_type=Path), help="Where to save the avatar.")
@click.option("--timeout", default=60.0, help="Seconds to wait for it.")
@reported
def demo(photo: Path, output: Path, timeout: float) -> None:
    """Register a user, upload PHOTO, follow its progress, save the avatar.

    \b
    facet demo tests/data/astronaut.png
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from local.verbs import tour

    api = Client(State.open(project.find().root).run).call("status").get("api")
    if api is None:
        raise click.ClickException("The functions are not up (yet). See `facet status`.")
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=1.0)
        avatar = tour.run(
            api,
            photo,
            output,
            timeout=timeout,
            progress=lambda stage, share: bar.update(task, description=stage.lower(), completed=share),
        )
    click.echo(f"saved   {avatar.saved_to} ({avatar.size:,} bytes, {avatar.seconds:.1f} s)")
    click.echo(f"skin    {avatar.skin_color}")
    click.echo(f"avatar  {avatar.url}")
    click.echo(f"photo   {avatar.photo_url}")


# ---- functions ----------------------------------------------------------------------------------------------------


@main.command()
@json_option
@template_option
@reported
def functions(as_json: bool, template: Path | None) -> None:
    """List the functions, their limits and what triggers them."""
    rows = _manifest(template)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:<24} {row['timeout']:>4.0f} s {row['memory']:>5} MB  {row['url'] or row['trigger']}")


@main.command()
@json_option
@template_option
@reported
def routes(as_json: bool, template: Path | None) -> None:
    """List the routes of the API and the function behind each."""
    rows = [{**route, "function": row["name"]} for row in _manifest(template) for route in row["routes"]]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['method']:<7} {row['path']:<62} {row['function']}")


def _manifest(template: Path | None) -> list[dict[str, Any]]:
    from local import manifest

    found = project.find(template)
    try:
        gateway = Client(State.open(found.root).run).call("status").get("gateway")
    except NotRunning:
        gateway = None
    return manifest.rows(found, gateway)


@main.command()
@click.argument("name")
@click.option("--event", "event_file", type=click.File("rb"), help="A complete event as JSON; - reads standard input.")
@click.option("--body", help="A JSON body for the function's route, its queue's message, or else its event.")
@click.option("--file", "photo", help="A file to upload as a form, as PATH or FIELD=PATH.")
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="May be repeated.")
@click.option("--method", help="Which of the function's routes, by method.")
@click.option("--path", help="The path of the request, where the route has parameters.")
@click.option("--as", "shape", type=click.Choice(["furl", "rest", "alb"]), default="furl", help="The event's shape.")
@click.option("--log", "show_log", is_flag=True, help="Print the invocation's log on standard error.")
@template_option
@reported
def invoke(name: str, show_log: bool, template: Path | None, **options: Any) -> None:
    """Invoke function NAME once and print its answer; exit code 1 when it failed.

    \b
    facet invoke register_user --body '{"name": "Ada", "email": "ada@example.com", "password": "correct horse"}'
    facet invoke create_task --file task_source_file=photo.jpg -H "access-token: $TOKEN"
    facet invoke relay_outbox
    """
    from local.verbs import invoke_event

    found = project.find(template)
    event = invoke_event.build(found, name, **options)
    answer = Client(State.open(found.root).run).call("invoke", name=name, event=event, timeout=None)
    if show_log:
        click.echo(answer["log"], err=True, nl=False)
    click.echo(answer["payload"])
    sys.exit(1 if answer["function_error"] else 0)


@main.command()
@click.argument("name", required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on as new lines come.")
@click.option("--lines", "-n", default=50, help="How many of the last lines.")
@template_option
@reported
def logs(name: str | None, follow: bool, lines: int, template: Path | None) -> None:
    """Print the log of function or service NAME, or of all functions."""
    from local.verbs import log_view

    state = State.open(project.find(template).root)
    log_view.show(state, name, lines=lines, follow=follow, write=click.echo)


# ---- what needs the business: internal functions without a URL ------------------------------------------------------


@main.command()
@click.option("--to", "revision", default="head", help="A revision; `base` removes every table.")
@reported
def migrate(revision: str) -> None:
    """Bring schema, buckets, queues and policies up to date; safe to run twice."""
    try:
        answer = operate("migrate", {"revision": revision})
    except NotRunning:
        from local.cloud import up as stack

        click.echo("Facet is not running: starting its services for the migration.", err=True)
        options = stack.Options(parts=frozenset({"services", "migrate"}), once=True, revision=revision)
        answer = asyncio.run(stack.serve(project.find(), options, lambda line: _line(line, err=True)))
    click.echo(json.dumps(answer, indent=2))


@main.command()
@click.argument("message")
@reported
def revision(message: str) -> None:
    """Write a new, empty migration named MESSAGE."""
    from local.cloud import migrations

    click.echo(f"Wrote {migrations.create(project.find().root, message)}. Fill in upgrade and downgrade.")


@main.command()
@click.argument("email")
@json_option
@reported
def token(email: str, as_json: bool) -> None:
    """Print an access token of the user with this E-MAIL, for trying things out."""
    answer = operate("issue_token", {"email": email})
    click.echo(json.dumps(answer, indent=2) if as_json else answer["access_token"])


main.add_command(import_legacy)
main.add_command(apikey)
main.add_command(task)
main.add_command(user)
