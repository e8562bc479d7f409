"""What an operator does to tasks: looks at one, gives it to agents again, ends it."""

import json
from typing import Any

import psycopg
import pytest

from avatars.reaping import TaskInTestMode
from avatars.states import TaskFinished
from avatars.tasks import TaskNotFound
from facet.problems import Problem
from tests.conftest import Settings
from tests.functions import api
from tests.functions.conftest import Queue

Sql = psycopg.Connection[tuple[Any, ...]]
NOBODYS = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def person() -> api.Person:
    return api.person()


@pytest.fixture
def task(person: api.Person, photo: bytes) -> str:
    return str(api.create(person.headers, photo).json()["request_uuid"])


def show(request_uuid: str) -> dict[str, Any]:
    return dict(api.invoke("show_task", {"request_uuid": request_uuid}))


def requeue(request_uuid: str) -> int:
    return int(api.invoke("requeue_task", {"request_uuid": request_uuid})["number"])


def fail(request_uuid: str, **verdict: Any) -> None:
    api.invoke("fail_task", {"request_uuid": request_uuid, **verdict})


def attempts(queue: Queue) -> list[int]:
    api.relay()
    return [properties.headers["x-attempt"] for _, properties in queue.take("generation_tasks")]


def test_a_task_is_shown_whole(task: str, person: api.Person, model: bytes, clean: Settings) -> None:
    api.consume({"request_uuid": task, "status": "IN_PROGRESS", "progress": 40, "stage": "fitting"})
    begun = show(task)
    assert (begun["status"], begun["progress"], begun["stage"]) == ("IN_PROGRESS", 40, "fitting")
    assert (begun["attempt"], begun["lost"], begun["model"]) == (1, 0, None)
    [announcement] = begun["announcements"]
    assert (announcement["attempt"], announcement["failures"]) == (1, 0)
    api.finish(task, model)
    found = show(task)
    assert (found["request_uuid"], found["user_id"], found["api_key_id"]) == (task, person.user_id, None)
    assert found["photo"]["bucket"] == clean["MINIO_IMAGES_BUCKET"]
    assert found["model"]["object_key"] == f"{task}.glb"
    assert found["model"]["size"] == len(model)
    times = [found[f"{what}_at"] for what in ("created", "published", "started", "last_message", "finished")]
    assert None not in times


def test_nothing_shown_opens_anything(task: str, person: api.Person, clean: Settings) -> None:
    text = json.dumps(show(task))
    assert "X-Amz" not in text
    assert "http" not in text
    secrets = [clean[name] for name in clean if name.endswith(("PASSWORD", "KEY"))]
    assert [secret for secret in [*secrets, person.access_token] if secret in text] == []


@pytest.mark.parametrize("status", ["INITIAL", "PENDING", "IN_PROGRESS"])
def test_an_open_task_goes_to_agents_again(task: str, sql: Sql, queue: Queue, status: str) -> None:
    if status == "INITIAL":
        sql.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_guard")
        sql.execute("UPDATE tasks SET status = 'INITIAL', published_at = NULL")
        sql.execute("ALTER TABLE tasks ENABLE TRIGGER tasks_guard")
        sql.execute("UPDATE outbox SET published_at = NULL")
    if status == "IN_PROGRESS":
        api.consume({"request_uuid": task, "status": status, "progress": 30})
    queue.take("generation_tasks")
    assert show(task)["status"] == status
    assert requeue(task) == 2
    assert attempts(queue) == [2]
    assert requeue(task) == 3
    assert attempts(queue) == [3]
    shown = show(task)
    assert (shown["status"], shown["attempt"], shown["lost"]) == ("PENDING", 3, 0)


def test_a_task_that_has_ended_is_not_given_again_and_the_answer_names_retry(task: str, queue: Queue) -> None:
    queue.take("generation_tasks")
    fail(task, code="NO_FACE", message="a hat")
    with pytest.raises(TaskFinished, match=f"has ended as FAILED.*/{task}/retry"):
        requeue(task)
    with pytest.raises(TaskFinished, match="has ended as FAILED"):
        fail(task)
    shown = show(task)
    assert (shown["attempt"], shown["failure_code"], shown["failure_message"]) == (1, "NO_FACE", "a hat")
    assert attempts(queue) == []


def test_a_task_in_test_mode_is_not_given_to_agents_but_can_be_ended(task: str, sql: Sql) -> None:
    api.to_test_mode(sql)
    with pytest.raises(TaskInTestMode):
        requeue(task)
    fail(task)
    assert show(task)["failure_code"] == "AGENT_ERROR"


def test_what_an_agent_says_after_the_operator_ended_it_changes_nothing(task: str, model: bytes) -> None:
    fail(task)
    api.finish(task, model)
    assert show(task)["status"] == "FAILED"


@pytest.mark.parametrize("operate", [show, requeue, fail])
def test_a_task_that_does_not_exist_is_named_as_the_cause(operate: Any) -> None:
    with pytest.raises(TaskNotFound, match=f"{NOBODYS} was not found"):
        operate(NOBODYS)


@pytest.mark.parametrize("operate", [show, requeue, fail])
def test_no_uuid_is_no_task(operate: Any) -> None:
    with pytest.raises(Problem, match="UUID"):
        operate("everything")


@pytest.mark.parametrize("code", ["", "no face", "no_face", "9", "A" * 65])
def test_a_code_is_capitals_digits_and_underscores(task: str, code: str) -> None:
    with pytest.raises(Problem, match="code: String should match"):
        fail(task, code=code)
    assert show(task)["status"] == "PENDING"
