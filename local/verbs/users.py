"""`facet user`: the accounts, as an operator sees and changes them."""

import json
import sys
from typing import Any

import click

from local.verbs import json_option, operate


@click.group()
def user() -> None:
    """List, shut, open and mend accounts."""


@user.command("list")
@click.option("--limit", "-n", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")
@click.option("--after", type=click.IntRange(0), default=0, help="Go on behind the user with this id.")
@json_option
def list_(limit: int, after: int, as_json: bool) -> None:
    """List users, oldest first.

    \b
    facet user list --limit 20
    facet user list --json | jq -r '.items[].email'
    """
    answer = operate("list_users", {"limit": limit, "after": after})
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo(f"{'ID':>6}  {'E-MAIL':<32} {'NAME':<24} {'SINCE':<10}  STATE")
    for one in answer["items"]:
        email, name = _printable(one["email"]), _printable(one["name"])
        click.echo(f"{one['id']:>6}  {email:<32} {name:<24} {one['created_at'][:10]}  {_state(one)}")
    if answer["next"] is not None:
        click.echo(f"There are more: facet user list --limit {limit} --after {answer['next']}", err=True)


def _printable(text: str) -> str:
    """People choose their names, and a terminal obeys some characters."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _state(one: dict[str, Any]) -> str:
    since = (one["disabled_at"] or "")[:10]
    words = [f"disabled since {since}" if since else "active", *["test mode"] * one["test_mode"]]
    return ", ".join(words)


@user.command()
@click.argument("email")
def disable(email: str) -> None:
    """Shut the account with this E-MAIL.

    Nobody signs in to it, its sessions end and its API keys are refused.

    \b
    facet user disable ada@example.com
    """
    account = operate("disable_user", {"email": email, "disabled": True})
    click.echo(f"{account['email']} is disabled. `facet user enable` opens the account again.")


@user.command()
@click.argument("email")
def enable(email: str) -> None:
    """Open a disabled account again.

    The sessions that ended with it stay ended.

    \b
    facet user enable ada@example.com
    """
    account = operate("disable_user", {"email": email, "disabled": False})
    click.echo(f"{account['email']} is enabled.")


@user.command("set-password")
@click.argument("email")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read it from standard input, as one line.")
def set_password(email: str, from_stdin: bool) -> None:
    """Give an account another password.

    It is asked for twice and never shown. Every session of the account ends.

    \b
    facet user set-password ada@example.com
    pass show ada | facet user set-password ada@example.com --stdin
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("New password", hide_input=True, confirmation_prompt="The same again")
    operate("set_password", {"email": email, "password": password})
    click.echo(f"{email} has a new password and is signed out everywhere.")


@user.command("test-mode")
@click.argument("email")
@click.argument("mode", type=click.Choice(["on", "off"]))
def test_mode(email: str, mode: str) -> None:
    """Only simulate what a user makes from now on.

    Tasks in test mode reach no agent.

    \b
    facet user test-mode ada@example.com on
    """
    account = operate("set_test_mode", {"email": email, "on": mode == "on"})
    click.echo(f"{account['email']}: test mode is {'on' if account['test_mode'] else 'off'}.")
