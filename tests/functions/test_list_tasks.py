"""Pages of tasks."""

from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from facet.settings import settings
from tests.contract import fronts
from tests.functions import api

Sql = psycopg.Connection[tuple[Any, ...]]

TASKS = "/3d-model-generation/tasks"
LAST_ONE_ONLY = fronts.not_through("alb", reason="without multi-value headers a balancer keeps one value of each name")


def listed(headers: dict[str, str], query: str = "", *, integrations: bool = False) -> api.Answer:
    path = f"{'/integrations' if integrations else ''}{TASKS}{query}"
    return api.request("list_tasks", "GET", path, headers=headers)


def uuids(answer: api.Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [item["request_uuid"] for item in answer.json()["items"]]


def made(headers: dict[str, str], photo: bytes, count: int) -> list[str]:
    """Newest first."""
    return [api.create(headers, photo).json()["request_uuid"] for _ in range(count)][::-1]


def test_tasks_are_listed_whole_and_newest_first(photo: bytes, model: bytes) -> None:
    headers = api.person().headers
    names = made(headers, photo, 3)
    api.finish(names[2], model)
    api.consume({"request_uuid": names[1], "status": "FAILED"})
    answer = listed(headers)
    assert uuids(answer) == names
    assert answer.json()["items"] == [api.task(headers, name) for name in names]
    assert answer.json()["next_cursor"] is None
    assert "link" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_without_tasks_the_list_is_empty() -> None:
    assert listed(api.person().headers).json() == {"items": [], "next_cursor": None}


def test_pages_follow_each_other_by_link_and_by_cursor(photo: bytes) -> None:
    headers = api.person().headers
    names = made(headers, photo, 5)
    first = listed(headers, "?limit=2")
    assert uuids(first) == names[:2]
    address, relation = first.headers["link"].split("; ")
    assert relation == 'rel="next"'
    assert address.startswith(f"</api/v1{TASKS}?limit=2&cursor=")
    second = listed(headers, "?" + address.strip("<>").partition("?")[2])
    assert uuids(second) == names[2:4]
    last = listed(headers, f"?limit=2&cursor={second.json()['next_cursor']}")
    assert uuids(last) == names[4:]
    assert last.json()["next_cursor"] is None


def test_a_page_that_is_full_and_last_has_no_next(photo: bytes) -> None:
    headers = api.person().headers
    made(headers, photo, 2)
    assert listed(headers, "?limit=2").json()["next_cursor"] is None


def test_what_is_made_and_deleted_meanwhile_moves_no_page(sql: Sql, photo: bytes) -> None:
    headers = api.person().headers
    names = made(headers, photo, 4)
    cursor = listed(headers, "?limit=2").json()["next_cursor"]
    made(headers, photo, 1)
    sql.execute("DELETE FROM tasks WHERE request_uuid = ANY(%s::uuid[])", ([names[1], names[2]],))
    assert uuids(listed(headers, f"?limit=2&cursor={cursor}")) == names[3:]


@LAST_ONE_ONLY
def test_the_link_keeps_the_filters_and_the_path(photo: bytes) -> None:
    key = api.new_key()
    for _ in range(2):
        api.create(key, photo, integrations=True)
    answer = listed(
        key,
        "?status=PENDING&status=INITIAL,FAILED&created_after=2020-01-01T00:00:00%2B02:00&limit=1",
        integrations=True,
    )
    address = answer.headers["link"].partition(">")[0].strip("<")
    path, _, query = address.partition("?")
    assert path == f"/api/v1/integrations{TASKS}"
    assert query.startswith(
        "status=PENDING&status=INITIAL%2CFAILED&created_after=2020-01-01T00%3A00%3A00%2B02%3A00&limit=1&cursor="
    )
    following = listed(key, f"?{query}", integrations=True)
    assert len(uuids(following)) == 1
    assert uuids(following) != uuids(answer)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?status=PENDING", {"waiting"}),
        pytest.param("?status=FAILED&status=CANCELLED", {"failed", "cancelled"}, marks=LAST_ONE_ONLY),
        ("?status=FAILED,PENDING", {"failed", "waiting"}),
        ("?status=SUCCESS", set()),
    ],
)
def test_states_are_chosen_one_by_one_or_together(photo: bytes, query: str, expected: set[str]) -> None:
    headers = api.person().headers
    names = dict(zip(["waiting", "failed", "cancelled"], made(headers, photo, 3), strict=True))
    api.consume({"request_uuid": names["failed"], "status": "FAILED"})
    api.of_task("cancel_task", "POST", headers, names["cancelled"], "/cancel")
    assert set(uuids(listed(headers, query))) == {names[name] for name in expected}


def test_times_bound_what_is_listed(sql: Sql, photo: bytes) -> None:
    headers = api.person().headers
    names = made(headers, photo, 3)
    times = [quote(api.task(headers, name)["created_at"]) for name in names]
    assert uuids(listed(headers, f"?created_after={times[2]}")) == names[:2]
    assert uuids(listed(headers, f"?created_before={times[0]}")) == names[1:]
    assert uuids(listed(headers, f"?created_after={times[2]}&created_before={times[0]}")) == [names[1]]
    for extreme in ("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59"):
        assert (
            len(
                uuids(listed(headers, f"?created_after={extreme}"))
                + uuids(listed(headers, f"?created_before={extreme}"))
            )
            == 3
        )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("status=DONE", "status"),
        ("status=", "status"),
        ("status=pending", "status"),
        ("status=PENDING,,FAILED", "status"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-01-01T00:00:00", "created_after"),
        ("created_before=2026-13-01T00:00:00Z", "created_before"),
        ("created_before=0.5", "created_before"),
        ("status=%00", "status"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(query: str, field: str) -> None:
    answer = listed(api.person().headers, f"?{query}")
    assert (answer.status, answer.json()["code"]) == (422, "VALIDATION_FAILED")
    assert {fault["loc"][1] for fault in answer.json()["errors"]} == {field}


@pytest.mark.parametrize(
    "cursor", ["", "x", "AAAA", "%F0%9F%98%80", "a" * 2000, "9c1d8c0e-0000-4000-8000-000000000000"]
)
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    answer = listed(api.person().headers, f"?cursor={cursor}")
    assert (answer.status, answer.json()["code"]) == (400, "CURSOR_INVALID")


def test_a_cursor_of_another_secret_is_refused(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    key = api.new_key()
    for _ in range(2):
        api.create(key, photo, integrations=True)
    cursor = listed(key, "?limit=1", integrations=True).json()["next_cursor"]
    assert listed(key, f"?cursor={cursor}", integrations=True).status == 200
    monkeypatch.setenv("SECRET_KEY", "another secret key of 32 characters")
    settings.cache_clear()
    assert listed(key, f"?cursor={cursor}", integrations=True).status == 400


def test_a_cursor_of_somebody_else_shows_nothing_of_theirs(photo: bytes) -> None:
    ada, eve = api.person(), api.person("eve@example.org")
    made(ada.headers, photo, 2)
    cursor = listed(ada.headers, "?limit=1").json()["next_cursor"]
    assert uuids(listed(eve.headers, f"?cursor={cursor}")) == []


def test_everybody_lists_what_they_may_see(monkeypatch: pytest.MonkeyPatch, photo: bytes) -> None:
    person = api.person()
    keys = [api.new_key(user_email=person.email), api.new_key(user_email=person.email), api.new_key()]
    of_user = made(person.headers, photo, 1)
    of_keys = [api.create(key, photo, integrations=True).json()["request_uuid"] for key in keys]
    assert uuids(listed(person.headers)) == [of_keys[1], of_keys[0], *of_user]
    for key in keys[:2]:
        assert uuids(listed(key, integrations=True)) == [of_keys[1], of_keys[0]]
    assert uuids(listed(keys[2], integrations=True)) == [of_keys[2]]
    monkeypatch.setenv("INTEGRATIONS_AUTH", "off")
    settings.cache_clear()
    assert uuids(listed({}, integrations=True)) == []


@pytest.mark.parametrize("query", ["", "?status=SUCCESS"])
def test_simulated_tasks_go_on_when_they_are_listed(sql: Sql, photo: bytes, query: str) -> None:
    headers = api.person().headers
    names = made(headers, photo, 2)
    for name in names:
        api.simulate(sql, name, seconds=-1)
    items = listed(headers, query).json()["items"]
    assert [(item["request_uuid"], item["status"]) for item in items] == [(name, "SUCCESS") for name in names]
    assert len(api.history(headers)) == 2


def test_a_simulated_task_that_failed_is_not_in_the_history(sql: Sql, photo: bytes) -> None:
    headers = api.person().headers
    (name,) = made(headers, photo, 1)
    api.simulate(sql, name, seconds=-1)
    sql.execute("DELETE FROM object_deletions")  # and with it its model
    assert api.history(headers) == []
