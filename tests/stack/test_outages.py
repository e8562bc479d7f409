"""Parts of a running Facet die, or all of it: nothing that was accepted is lost, nothing is left running."""

import signal
import socket

import httpx
import psutil
import pytest

from tests.compat.frontend import Account, Frontend
from tests.stacks import PROJECT, Stack, is_alive, until

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]

PATIENCE = 150.0  # seconds for what takes RabbitMQ seven where nothing else runs

FACE = PROJECT / "tests" / "data" / "astronaut.png"


def finished_task(frontend: Frontend, account: Account) -> str:
    request_uuid = frontend.create_task(account.access_token, FACE.read_bytes())
    frontend.wait_for(account.access_token, request_uuid, "SUCCESS")
    return request_uuid


def assert_kept(stack: Stack, account: Account, request_uuid: str) -> None:
    """The user, the task, its photo and its model are still there, and new tasks are finished."""
    with Frontend(stack.api) as frontend:
        item = frontend.history(account.access_token).json()["items"][0]
        assert item["task_request_uuid"] == request_uuid
        result = frontend.result(account.access_token, request_uuid).json()
        for url in (item["input_image_url"], result["result_file_path"]):
            assert httpx.get(url, trust_env=False).status_code == 200
        finished_task(frontend, account)


def is_listening(address: tuple[str, int]) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as client:
        client.settimeout(1)
        return client.connect_ex(address) == 0


@pytest.mark.parametrize("service", ["postgres", "objects"])
def test_without_a_database_or_storage_a_photo_is_a_503_until_it_is_back(
    stack: Stack, frontend: Frontend, account: Account, service: str
) -> None:
    psutil.Process(stack.status()["services"][service]["pid"]).kill()

    def accepted() -> bool:
        answer = frontend.create(account.access_token, FACE.read_bytes())
        assert answer.status_code in (201, 503), answer.text
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["detail"]
        return answer.status_code == 201

    until(accepted, within=PATIENCE, what=f"a photo is accepted again after {service} was killed")


def victim(stack: Stack, name: str) -> psutil.Process:
    """A service by its name, the zygote, or a sandbox that the zygote has forked."""
    status = stack.status()
    if name in status["services"]:
        return psutil.Process(status["services"][name]["pid"])
    children = psutil.Process(status["pid"]).children()
    zygote = next(child for child in children if "local.sandbox.zygote" in child.cmdline())
    return zygote if name == "zygote" else zygote.children()[0]


@pytest.mark.parametrize("name", ["postgres", "objects", "rabbitmq", "epmd", "agent", "zygote", "sandbox"])
def test_what_is_killed_comes_back_by_itself_and_no_answer_is_wrong(
    stack: Stack, frontend: Frontend, account: Account, name: str
) -> None:
    accepted = [frontend.create_task(account.access_token, FACE.read_bytes())]
    process = victim(stack, name)
    process.kill()

    def works() -> bool:
        created = frontend.create(account.access_token, FACE.read_bytes())
        assert created.status_code in (201, 502, 503), created.text
        if created.status_code == 201:
            accepted.append(created.json()["request_uuid"])
        for request_uuid in accepted:
            read = frontend.status(account.access_token, request_uuid)
            assert read.status_code in (200, 502, 503), read.text
            assert read.status_code != 200 or read.json()["status"] in ("INITIAL", "PENDING", "IN_PROGRESS", "SUCCESS")
        ready = stack.facet("status", accept=(0, 1)).returncode == 0
        return created.status_code == 201 and ready and not is_alive(process)

    until(works, within=PATIENCE, what=f"{name} is back")
    for request_uuid in accepted:
        frontend.wait_for(account.access_token, request_uuid, "SUCCESS", within=PATIENCE)


def test_a_task_created_while_the_broker_is_dead_is_finished_later(
    stack: Stack, frontend: Frontend, account: Account
) -> None:
    broker = psutil.Process(stack.status()["services"]["rabbitmq"]["pid"])
    broker.kill()
    broker.wait(10)
    created = frontend.create(account.access_token, FACE.read_bytes())
    assert created.status_code == 201
    frontend.wait_for(account.access_token, created.json()["request_uuid"], "SUCCESS", within=PATIENCE)


def test_a_task_waiting_in_the_broker_survives_its_death(stack: Stack, frontend: Frontend, account: Account) -> None:
    tasks = [frontend.create_task(account.access_token, FACE.read_bytes()) for _ in range(3)]
    psutil.Process(stack.status()["services"]["rabbitmq"]["pid"]).kill()
    for request_uuid in tasks:
        frontend.wait_for(account.access_token, request_uuid, "SUCCESS", within=PATIENCE)


def test_what_is_killed_comes_up_again_with_its_data(stack: Stack, frontend: Frontend, account: Account) -> None:
    request_uuid = finished_task(frontend, account)
    before = stack.processes()
    psutil.Process(stack.status()["pid"]).kill()
    stack.up()
    assert not [process for process in before if is_alive(process)]
    assert_kept(stack, account, request_uuid)


def test_only_this_machine_reaches_it(stack: Stack) -> None:
    listening = stack.listening()
    assert len(listening) >= 4  # gateway, PostgreSQL, RabbitMQ, objects
    assert {address for address, port in listening} <= {"127.0.0.1", "::1"}


def test_down_leaves_no_process_and_no_port_and_ctrl_c_ends_the_next_up_as_well(
    stack: Stack, frontend: Frontend, account: Account
) -> None:
    request_uuid = finished_task(frontend, account)
    listening = stack.listening()
    assert all(is_listening(address) for address in listening)
    stack.down()
    assert not [address for address in listening if is_listening(address)]
    with stack.in_foreground() as up:
        assert_kept(stack, account, request_uuid)
        before = stack.processes()
        up.send_signal(signal.SIGINT)
        assert up.wait(PATIENCE) in (0, 130)
        assert not stack.survivors(before, within=0)
