"""`facet env`: the project's secrets, and how AWS's clients are pointed at the local cloud."""

import json
import shlex
from pathlib import Path

import click

from local.cloud import environment, project
from local.cloud.control import Client, NotRunning
from local.cloud.state import State
from local.verbs import json_option, template_option

_HIDDEN = "(facet env --show)"
_EXAMPLE = """
import localstack_client.session

session = localstack_client.session.Session(
    aws_access_key_id="{access}", aws_secret_access_key="{secret}", localstack_host="{host}"
)
print(session.client("lambda").list_functions())
"""


@click.command()
@click.option("--show", is_flag=True, help="Print the secret key too, and an example.")
@click.option("--export", is_flag=True, help="Print shell variables with the secret key, for eval.")
@json_option
@template_option
def env(show: bool, export: bool, as_json: bool, template: Path | None) -> None:
    """Write .env with fresh secrets; tell AWS's clients the way.

    An .env that is there is left alone.

    \b
    facet env                     endpoint and access key
    eval "$(facet env --export)"  boto3, the aws CLI and Terraform then talk to the local cloud
    """
    found = project.find(template)
    root, path = found.root, environment.path(found.root)
    ours = project.makes_avatars(found.read())
    written = ours and not path.exists() and bool(environment.create(root))
    if not ours:  # its .env is its own affair
        State.open(root)
        environment.keep(root)
    settings = {**environment.DEFAULTS, **environment.effective(root)}
    endpoint = _endpoint(State.open(root), settings["EDGE_PORT"])
    variables = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": settings.get("MINIO_ACCESS_KEY", ""),
        "AWS_SECRET_ACCESS_KEY": settings.get("MINIO_SECRET_KEY", "") if show or export else _HIDDEN,
        "AWS_DEFAULT_REGION": settings["MINIO_REGION"],
    }
    if as_json:
        given = {name: value for name, value in variables.items() if value != _HIDDEN}
        click.echo(json.dumps({"file": str(path), "written": written, **given}, indent=2))
    elif export:
        click.echo("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))
    else:
        told = "Wrote {} with fresh secrets, readable by you alone." if written else "{} is there and was left alone."
        click.echo(told.format(path if ours else environment.kept(root)))
        click.echo("\n".join(f"  {name:<22} {value}" for name, value in variables.items()))
        if show:
            access, secret = variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
            host = endpoint.removeprefix("http://")
            click.echo(_EXAMPLE.format(access=access, secret=secret, host=host), nl=False)


def _endpoint(state: State, port: str) -> str:
    """That of the running stack, or the one the next is likely to have."""
    try:
        return str(Client(state.run).call("status").get("edge") or f"http://localhost:{port}")
    except NotRunning:
        return f"http://localhost:{port}"
