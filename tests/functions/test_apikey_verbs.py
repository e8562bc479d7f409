"""`facet apikey`, with the functions it invokes."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from local import cli
from local.verbs import keys
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]
ApiKey = Callable[..., str]


@pytest.fixture
def apikey(monkeypatch: pytest.MonkeyPatch) -> ApiKey:
    """Runs `facet apikey …` and gives what it prints."""
    monkeypatch.setattr(keys, "operate", api.invoke)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli.main, ["apikey", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def opens(key: str) -> bool:
    return api.read("status", {"x-api-key": key}, "x", integrations=True).status == 404


def test_create_prints_the_secret_alone(apikey: ApiKey) -> None:
    assert opens(apikey("create", "Game studio").strip())


def test_create_takes_an_owner_an_end_scopes_and_test_mode(apikey: ApiKey, sql: Sql) -> None:
    person = api.person()
    options = ("--user", person.email, "--days", "7", "--scope", "tasks:read", "--test", "--json")
    made = json.loads(apikey("create", "booth", *options))
    assert made["key"].startswith("avk_test_")
    row = sql.execute(
        "SELECT user_id, scopes, test_mode, expires_at - created_at = interval '7 days' FROM api_keys"
    ).fetchone()
    assert row == (person.user_id, ["tasks:read"], True, True)


def test_create_makes_a_key_for_everything_by_default(apikey: ApiKey, sql: Sql) -> None:
    apikey("create", "booth")
    row = sql.execute("SELECT user_id, scopes, test_mode, expires_at FROM api_keys").fetchone()
    assert row == (None, ["tasks:read", "tasks:write"], False, None)


def test_list_prints_a_line_for_each_key_and_no_secret(apikey: ApiKey) -> None:
    person = api.person()
    secrets = [apikey("create", "kiosk").strip(), apikey("create", "booth", "--user", person.email).strip()]
    printed = apikey("list")
    kiosk, booth = printed.splitlines()
    assert "'kiosk' of no user" in kiosk
    assert f"'booth' of {person.email}" in booth
    assert not any(secret in printed for secret in secrets)
    assert [item["name"] for item in json.loads(apikey("list", "--user", person.email, "--json"))["items"]] == ["booth"]


def test_revoke_ends_a_key(apikey: ApiKey) -> None:
    made = json.loads(apikey("create", "kiosk", "--json"))
    apikey("revoke", str(made["id"]))
    assert not opens(made["key"])
    assert "revoked" in apikey("list")
