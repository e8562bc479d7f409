"""`facet apikey …`: make, list and revoke the keys of outside systems."""

import json
from collections.abc import Sequence
from typing import Any

import click

from local.verbs import Text, json_option, operate


@click.group()
def apikey() -> None:
    """Make, list and revoke the API keys of outside systems."""


@apikey.command()
@click.argument("name")
@click.option("--user", "user_email", type=Text(), help="The e-mail of the user who owns the key and its tasks.")
@click.option("--days", "expires_in_days", type=click.IntRange(1), help="After how many days it ends.")
@click.option("--scope", "scopes", multiple=True, help="tasks:read or tasks:write; may be repeated. Both by default.")
@click.option("--test", "test_mode", is_flag=True, help="What it makes reaches no agent and ends as asked for.")
@json_option
def create(name: str, scopes: Sequence[str], as_json: bool, **options: Any) -> None:
    """Create an API key and print its secret, this once.

    \b
    facet apikey create kiosk
    facet apikey create kiosk --user ada@example.com --scope tasks:read --days 30
    """
    given = {"name": name, "scopes": list(scopes) or None, **options}
    answer = operate("create_api_key", {key: value for key, value in given.items() if value is not None})
    click.echo(json.dumps(answer, indent=2) if as_json else answer["key"])


@apikey.command("list")
@click.option("--user", "user_email", type=Text(), help="Only the keys of the user with this e-mail.")
@json_option
def list_(user_email: str | None, as_json: bool) -> None:
    """List keys: whose they are, what they may do, how used.

    \b
    facet apikey list --user ada@example.com
    facet apikey list --json
    """
    answer = operate("list_api_keys", {} if user_email is None else {"user_email": user_email})
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(map(_line, answer["items"])))


@apikey.command()
@click.argument("key_id", metavar="ID", type=click.IntRange(1))
def revoke(key_id: int) -> None:
    """End the key with this ID, at once and for good.

    What it made stays.

    \b
    facet apikey revoke 7
    """
    operate("revoke_api_key", {"id": key_id})
    click.echo(f"Key {key_id} opens nothing any more.")


def _line(key: dict[str, Any]) -> str:
    whose = key["user_email"] or "no user"
    ends = f"revoked {key['revoked_at']}" if key["revoked_at"] else f"ends {key['expires_at'] or 'never'}"
    used = f"used {key['last_used_at'] or 'never'}"
    return f"{key['id']:>4}  {key['prefix']}…  {key['name']!r} of {whose}, {' '.join(key['scopes'])}, {used}, {ends}"
