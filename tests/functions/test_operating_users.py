"""What operators do with accounts: list_users, disable_user, set_password, set_test_mode."""

from typing import Any

import psycopg
import pytest

from avatars.users import UserNotFound
from facet.problems import Problem
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]
UNKNOWN = "00000000-0000-0000-0000-000000000000"
NEW = "a stable of better horses"


def set_disabled(email: str, disabled: bool) -> Any:
    return api.invoke("disable_user", {"email": email, "disabled": disabled})


def test_users_are_listed_page_by_page(sql: Sql) -> None:
    ids = [api.register(f"{number}@example.org").json()["user_id"] for number in range(5)]
    sql.execute("UPDATE users SET disabled_at = now(), test_mode = true WHERE id = %s", (ids[1],))
    first = api.invoke("list_users", {"limit": 2})
    assert [one["id"] for one in first["items"]] == ids[:2]
    assert set(first["items"][0]) == {"id", "email", "name", "created_at", "disabled_at", "test_mode"}
    assert [(one["disabled_at"] is None, one["test_mode"]) for one in first["items"]] == [(True, False), (False, True)]
    second = api.invoke("list_users", {"limit": 3, "after": first["next"]})
    assert [one["id"] for one in second["items"]] == ids[2:]
    assert second["next"] is None
    assert api.invoke("list_users", {"after": ids[-1]}) == {"items": [], "next": None}


@pytest.mark.parametrize("event", [{"limit": 0}, {"limit": 1001}, {"after": -1}, {"after": 2**63}, {"offset": 1}])
def test_a_page_that_cannot_be_is_refused(event: dict[str, int]) -> None:
    with pytest.raises(Problem):
        api.invoke("list_users", event)


def test_a_disabled_account_is_shut_in_every_way() -> None:
    person, eve = api.person(), api.person("eve@example.org")
    key = api.new_key(user_email=person.email)
    account = set_disabled("ADA@example.org", True)
    assert account["disabled_at"] is not None
    assert api.sign_in(person.email).status == 400
    assert api.refresh(person.refresh_token).status == 401
    assert api.profile(person.headers).status == 403
    assert api.read("status", key, UNKNOWN, integrations=True).status == 401
    assert api.profile(eve.headers).status == 200
    assert api.refresh(eve.refresh_token).status == 200


def test_disabling_again_changes_nothing() -> None:
    api.register("ada@example.org")
    assert set_disabled("ada@example.org", True) == set_disabled("ada@example.org", True)


def test_an_enabled_account_is_open_but_its_sessions_stay_ended() -> None:
    person = api.person()
    key = api.new_key(user_email=person.email)
    set_disabled(person.email, True)
    assert set_disabled(person.email, False)["disabled_at"] is None
    assert api.refresh(person.refresh_token).status == 401
    assert api.sign_in(person.email).status == 200
    assert api.read("status", key, UNKNOWN, integrations=True).status == 404


def test_a_password_an_operator_sets_signs_in_and_ends_the_sessions() -> None:
    person = api.person()
    assert api.invoke("set_password", {"email": "ADA@example.org", "password": NEW}) == {"id": person.user_id}
    assert api.refresh(person.refresh_token).status == 401
    assert api.sign_in(person.email).status == 400
    assert api.sign_in(person.email, NEW).status == 200


def test_setting_a_password_opens_no_disabled_account() -> None:
    person = api.person()
    set_disabled(person.email, True)
    api.invoke("set_password", {"email": person.email, "password": NEW})
    assert api.sign_in(person.email, NEW).status == 400
    set_disabled(person.email, False)
    assert api.sign_in(person.email, NEW).status == 200


def test_an_operator_follows_the_rules_of_registration_and_nobody_sees_the_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    api.register("ada@example.org")
    with pytest.raises(Problem) as refused:
        api.invoke("set_password", {"email": "ada@example.org", "password": "hunter2"})
    api.invoke("set_password", {"email": "ada@example.org", "password": NEW})
    printed = "".join(capsys.readouterr()) + str(refused.value) + repr(refused.value.errors)
    assert "event.password" in str(refused.value)
    assert [word for word in ("hunter2", NEW) if word in printed] == []


def test_test_mode_is_for_what_is_made_from_now_on(sql: Sql) -> None:
    api.register("ada@example.org")
    for on in (True, True, False):
        assert api.invoke("set_test_mode", {"email": "ADA@example.org", "on": on})["test_mode"] is on
        assert sql.execute("SELECT test_mode FROM users").fetchone() == (on,)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("disable_user", {"disabled": True}),
        ("disable_user", {"disabled": False}),
        ("set_password", {"password": NEW}),
        ("set_test_mode", {"on": True}),
    ],
)
def test_an_unknown_user_is_named_as_the_cause(name: str, event: dict[str, object]) -> None:
    with pytest.raises(UserNotFound, match="No user has this email"):
        api.invoke(name, {"email": "nobody@example.org", **event})
