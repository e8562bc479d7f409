"""What each function for tasks is asked, and answers: by people, by agents and by the clock."""

from datetime import timedelta

import httpx

from tests.deploy.world import PATH, World
from tests.functions import api


def create_task(world: World) -> None:
    world.announced()
    task = world.task()
    assert [properties.correlation_id for _, properties in world.announced()] == [task]


def create_upload(world: World) -> None:
    body = {"content_type": "image/jpeg", "size": len(world.photo)}
    upload = api.begin_upload(world.person.headers, body).json()
    sent = httpx.put(upload["url"], content=world.photo, headers=upload["headers"], trust_env=False)
    assert sent.status_code == 200
    answer = api.create_of_upload(world.person.headers, {"upload_id": upload["upload_id"]})
    assert answer.status == 201


def get_task_status(world: World) -> None:
    assert world.status(world.avatar) == "SUCCESS"


def get_task_result(world: World) -> None:
    result = api.read("result", world.person.headers, world.avatar).json()
    assert httpx.get(result["result_file_path"], trust_env=False).content == world.model


def list_tasks(world: World) -> None:
    answer = api.request("list_tasks", "GET", PATH, headers=world.person.headers)
    assert answer.status == 200
    assert answer.json()["items"]


def get_task(world: World) -> None:
    task = api.task(world.person.headers, world.avatar)
    assert (task["request_uuid"], task["status"]) == (world.avatar, "SUCCESS")


def get_task_file(world: World) -> None:
    answer = world.of_task("get_task_file", "GET", world.avatar, "/files/model.glb")
    assert answer.status == 302
    assert httpx.get(answer.headers["location"], trust_env=False).content == world.model


def cancel_task(world: World) -> None:
    task = world.task()
    assert world.of_task("cancel_task", "POST", task, "/cancel").status == 200
    assert api.task(world.person.headers, task)["status"] == "CANCELLED"


def retry_task(world: World) -> None:
    task = world.task()
    api.invoke("fail_task", {"request_uuid": task})
    answer = world.of_task("retry_task", "POST", task, "/retry")
    assert (answer.status, answer.json()["retry_of"]) == (201, task)


def delete_task(world: World) -> None:
    task = world.finished()
    assert world.of_task("delete_task", "DELETE", task).status == 204
    assert world.of_task("get_task", "GET", task).status == 404


def consume_results(world: World) -> None:
    task = world.task()
    world.finish(task)
    assert world.status(task) == "SUCCESS"


def relay_outbox(world: World) -> None:
    task = world.task()
    api.invoke("requeue_task", {"request_uuid": task})
    world.announced()
    api.relay()
    assert (task, 2) in [(each.correlation_id, each.headers["x-attempt"]) for _, each in world.announced()]


def reap_tasks(world: World) -> None:
    task = world.task()
    api.at("reap_tasks", timedelta(hours=73))
    assert world.status(task) == "FAILED"


def purge_expired(world: World) -> None:
    task = world.finished()
    assert world.has_model(task)
    world.of_task("delete_task", "DELETE", task)
    api.at("purge_expired", timedelta(hours=2))
    assert not world.has_model(task)
