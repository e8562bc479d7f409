"""`facet user`: what each verb asks the stack for and what it prints."""

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from local import cli
from local.verbs import users

ADA = {
    "id": 7,
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "created_at": "2026-11-22T18:54:08Z",
    "disabled_at": None,
    "test_mode": False,
}
EVE = {**ADA, "id": 8, "email": "eve@example.org", "disabled_at": "2026-11-23T00:00:00Z", "test_mode": True}


class Stack:
    """Answers instead of the functions, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: dict[str, Any] = ADA

    def __call__(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((name, event))
        return self.answer


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Stack:
    stack = Stack()
    monkeypatch.setattr(users, "operate", stack)
    return stack


def facet(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli.main, ["user", *arguments], input=given)


def test_users_are_a_table(stack: Stack) -> None:
    stack.answer = {"items": [ADA, EVE], "next": None}
    lines = facet("list").output.splitlines()
    assert stack.asked == [("list_users", {"limit": 100, "after": 0})]
    assert lines[0].split() == ["ID", "E-MAIL", "NAME", "SINCE", "STATE"]
    assert lines[1].split() == ["7", "ada@example.org", "Ada", "Lovelace", "2026-11-22", "active"]
    assert lines[2].endswith("disabled since 2026-11-23, test mode")
    assert len(lines) == 3


def test_a_name_gives_no_orders_to_the_terminal(stack: Stack) -> None:
    stack.answer = {"items": [{**ADA, "name": "\x1b[2JAda\r\u202e"}], "next": None}
    assert " ?[2JAda?? " in facet("list").output


def test_the_next_page_is_told_beside_the_table(stack: Stack) -> None:
    stack.answer = {"items": [ADA], "next": 7}
    result = facet("list", "--limit", "1", "--after", "3")
    assert stack.asked == [("list_users", {"limit": 1, "after": 3})]
    assert result.stderr == "There are more: facet user list --limit 1 --after 7\n"
    assert len(result.stdout.splitlines()) == 2


def test_users_are_json_for_scripts(stack: Stack) -> None:
    stack.answer = {"items": [ADA], "next": 7}
    assert json.loads(facet("list", "--json").stdout) == stack.answer


@pytest.mark.parametrize("arguments", [("list", "--limit", "0"), ("list", "--limit", "1001"), ("list", "--after", "x")])
def test_a_page_that_cannot_be_is_refused(stack: Stack, arguments: tuple[str, ...]) -> None:
    assert facet(*arguments).exit_code == 2
    assert stack.asked == []


@pytest.mark.parametrize(
    ("arguments", "name", "event", "words"),
    [
        (("disable", "ada@example.org"), "disable_user", {"disabled": True}, "is disabled"),
        (("enable", "ada@example.org"), "disable_user", {"disabled": False}, "is enabled"),
        (("test-mode", "ada@example.org", "on"), "set_test_mode", {"on": True}, "test mode is off"),
        (("test-mode", "ada@example.org", "off"), "set_test_mode", {"on": False}, "test mode is off"),
    ],
)
def test_a_verb_says_what_became_of_the_account(
    stack: Stack, arguments: tuple[str, ...], name: str, event: dict[str, bool], words: str
) -> None:
    result = facet(*arguments)
    assert stack.asked == [(name, {"email": "ada@example.org", **event})]
    assert result.exit_code == 0
    assert "ada@example.org" in result.output
    assert words in result.output


@pytest.mark.parametrize("line", ["secret word\n", "secret word\r\n", "secret word"])
def test_a_password_comes_from_standard_input(stack: Stack, line: str) -> None:
    result = facet("set-password", "ada@example.org", "--stdin", given=line)
    assert stack.asked == [("set_password", {"email": "ada@example.org", "password": "secret word"})]
    assert result.output == "ada@example.org has a new password and is signed out everywhere.\n"


def test_a_password_is_asked_for_twice_and_never_shown(stack: Stack) -> None:
    result = facet("set-password", "ada@example.org", given="secret word\nsecret word\n")
    assert stack.asked == [("set_password", {"email": "ada@example.org", "password": "secret word"})]
    assert "secret" not in result.output


def test_two_different_passwords_are_asked_for_again(stack: Stack) -> None:
    result = facet("set-password", "ada@example.org", given="one password\nanother\n")
    assert result.exit_code == 1
    assert stack.asked == []


def test_a_password_cannot_stand_on_the_command_line(stack: Stack) -> None:
    assert facet("set-password", "ada@example.org", "secret word").exit_code == 2
    assert stack.asked == []


def test_a_refusal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, event: dict[str, Any]) -> None:
        raise click.ClickException("UserNotFound: No user has this email")

    monkeypatch.setattr(users, "operate", refuse)
    result = facet("disable", "nobody@example.org")
    assert (result.exit_code, result.output) == (1, "Error: UserNotFound: No user has this email\n")
