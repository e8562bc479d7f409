"""What needs the business: verbs that invoke an internal function without a URL."""

import asyncio
import json

import click

from local.cloud import project
from local.cloud.control import NotRunning
from local.verbs import json_option, operate, timed_line


@click.command()
@click.option("--to", "revision", default="head", help="A revision; `base` removes every table.")
def migrate(revision: str) -> None:
    """Bring schema, buckets, queues and policies up to date.

    It may be run twice. Without a running stack its services are started for it.

    \b
    facet migrate
    facet migrate --to 0001
    """
    try:
        answer = operate("migrate", {"revision": revision})
    except NotRunning:
        from local.cloud import up as stack

        click.echo("Facet is not running: starting its services for the migration.", err=True)
        options = stack.Options(parts=frozenset({"services", "migrate"}), once=True, revision=revision)
        answer = asyncio.run(stack.serve(project.find(), options, lambda line: timed_line(line, err=True)))
    click.echo(json.dumps(answer, indent=2))


@click.command()
@click.argument("message")
def revision(message: str) -> None:
    """Write a new, empty migration named MESSAGE.

    \b
    facet revision "add a table"
    """
    from local.cloud import migrations

    click.echo(f"Wrote {migrations.create(project.find().root, message)}. Fill in upgrade and downgrade.")


@click.command()
@click.argument("email")
@json_option
def token(email: str, as_json: bool) -> None:
    """Print an access token of the user with this E-MAIL.

    For trying things out.

    \b
    curl -H "access-token: $(facet token ada@example.com)" http://localhost:8080/api/v1/user-info/profile-info
    """
    answer = operate("issue_token", {"email": email})
    click.echo(json.dumps(answer, indent=2) if as_json else answer["access_token"])
