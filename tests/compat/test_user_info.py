"""The history and profile pages of the old frontend."""

import re

import pytest

from tests.compat import pictures
from tests.compat.frontend import Account, Frontend
from tests.compat.ml_agent import Agent

pytestmark = pytest.mark.xdist_group("compat")

OLD_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{6}\+00:00")


def test_a_new_person_has_an_empty_history_and_no_picture(frontend: Frontend, account: Account) -> None:
    history, profile = frontend.history(account.access_token), frontend.profile(account.access_token)
    assert (history.status_code, history.json()) == (200, {"items": []})
    assert profile.status_code == 200
    assert profile.json() == {"image_url": "", "name": account.name, "email": account.email}


def test_the_history_lists_unfinished_and_successful_tasks_oldest_first(
    frontend: Frontend, agent: Agent, account: Account
) -> None:
    created = [frontend.create_task(account.access_token, pictures.photo()) for _ in range(5)]
    refused, finished, failed, running, waiting = created
    agent.report(refused, "INVALID_INPUT")
    agent.report(failed, "FAILED")
    agent.report(running, "IN_PROGRESS")
    agent.finish(finished)
    frontend.wait_for(account.access_token, finished, "SUCCESS")
    frontend.wait_for(account.access_token, refused, "INVALID_INPUT")
    frontend.wait_for(account.access_token, failed, "FAILED")

    items = frontend.history(account.access_token).json()["items"]
    assert [item["task_request_uuid"] for item in items] == [finished, running, waiting]
    assert [item["task_id"] for item in items] == sorted(item["task_id"] for item in items)
    for item in items:
        assert set(item) == {"task_id", "task_request_uuid", "input_image_url", "datetime_created"}
        assert type(item["task_id"]) is int
        assert OLD_TIME.fullmatch(item["datetime_created"])
        assert pictures.opened(frontend.http.get(item["input_image_url"]).content).size == (320, 240)


def test_the_profile_shows_the_photo_of_the_first_task(frontend: Frontend, account: Account) -> None:
    for size in [(300, 200), (200, 300)]:
        frontend.create_task(account.access_token, pictures.photo(size=size))
    profile = frontend.profile(account.access_token).json()
    assert set(profile) == {"image_url", "name", "email"}
    assert pictures.opened(frontend.http.get(profile["image_url"]).content).size == (300, 200)
