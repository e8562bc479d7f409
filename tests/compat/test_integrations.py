"""Outside systems: the old three routes, with a key, or without one where the operator says so."""

import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.compat import glb
from tests.compat.deployment import agent_of
from tests.compat.frontend import Account, Frontend, OutsideSystem
from tests.compat.ml_agent import Agent
from tests.stacks import Stack, until

with_key = pytest.mark.xdist_group("compat")
without_key = pytest.mark.xdist_group("compat-old")


def new_key(stack: Stack, account: Account) -> str:
    """The key an operator hands to an outside system that works for this person."""
    return stack.facet("apikey", "create", "visitors", "--user", account.email).stdout.strip()


@pytest.fixture
def outside(stack: Stack, account: Account) -> Iterator[OutsideSystem]:
    with OutsideSystem(stack.api, {"X-API-Key": new_key(stack, account)}) as outside:
        yield outside


@pytest.fixture
def old_outside(old_stack: Stack) -> Iterator[OutsideSystem]:
    with OutsideSystem(old_stack.api) as outside:
        yield outside


@pytest.fixture
def old_agent(old_stack: Stack) -> Iterator[Agent]:
    with agent_of(old_stack, declares=True) as agent:
        yield agent


def assert_whole_way(outside: OutsideSystem, agent: Agent, photo: bytes) -> None:
    created = outside.create(photo)
    assert created.status_code == 201
    assert set(created.json()) == {"request_uuid", "source_file_path"}
    request_uuid = created.json()["request_uuid"]
    assert_no_result_yet(outside.result(request_uuid), request_uuid)

    delivery = agent.take(request_uuid)
    assert delivery.task["task_client_type"] == "EXTERNAL_INTEGRATION"
    agent.storage.put_with_boto3(delivery.output_bucket, f"{request_uuid}.glb", glb.triangle())
    agent.send_result(request_uuid, delivery.output_bucket, f"{request_uuid}.glb")
    agent.acknowledge(delivery)

    done = {"status": "SUCCESS"}
    until(lambda: outside.status(request_uuid).json() == done, within=20, what=f"task {request_uuid} is done")
    result = outside.result(request_uuid)
    assert result.status_code == 200
    assert set(result.json()) == {"result_file_path", "mesh_metadata"}
    assert result.json()["mesh_metadata"] == {"skin_color_hex": "#ba997a"}
    assert httpx.get(result.json()["result_file_path"], trust_env=False).content == glb.triangle()


def assert_no_result_yet(answer: httpx.Response, request_uuid: str) -> None:
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"The task result with request uuid {request_uuid} not found"}


def assert_unknown(outside: OutsideSystem, request_uuid: str) -> None:
    status = outside.status(request_uuid)
    assert status.status_code == 404
    assert status.json() == {"detail": f"The task with request uuid {request_uuid} was not found"}
    assert_no_result_yet(outside.result(request_uuid), request_uuid)


@with_key
def test_a_key_goes_the_whole_way(outside: OutsideSystem, agent: Agent, photo: bytes) -> None:
    assert_whole_way(outside, agent, photo)


@with_key
def test_an_unknown_task_is_a_404_with_the_old_text_of_integrations(outside: OutsideSystem) -> None:
    assert_unknown(outside, str(uuid.uuid4()))


@with_key
def test_a_key_sees_nobody_elses_task(
    stack: Stack, frontend: Frontend, outside: OutsideSystem, account: Account, photo: bytes
) -> None:
    theirs = outside.create(photo).json()["request_uuid"]
    with OutsideSystem(stack.api, {"X-API-Key": new_key(stack, frontend.sign_up())}) as other:
        assert_unknown(other, theirs)
    assert_unknown(outside, frontend.create_task(account.access_token, photo))


@with_key
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "garbage"}, {"access-token": "garbage"}])
def test_without_a_key_integrations_are_a_401(stack: Stack, headers: dict[str, str], photo: bytes) -> None:
    with OutsideSystem(stack.api, headers) as nobody:
        unknown = str(uuid.uuid4())
        for answer in (nobody.create(photo), nobody.status(unknown), nobody.result(unknown)):
            assert answer.status_code == 401
            assert type(answer.json()["detail"]) is str


@with_key
def test_an_outside_file_that_is_no_photo_is_a_415(outside: OutsideSystem) -> None:
    answer = outside.create(b"no photo", content_type="text/plain")
    assert answer.status_code == 415
    assert answer.json() == {"detail": "Only image files are accepted"}


@without_key
def test_where_keys_are_off_no_header_goes_the_whole_way(
    old_outside: OutsideSystem, old_agent: Agent, photo: bytes
) -> None:
    assert_whole_way(old_outside, old_agent, photo)


@without_key
def test_where_keys_are_off_an_unknown_task_has_the_same_text(old_outside: OutsideSystem) -> None:
    assert_unknown(old_outside, str(uuid.uuid4()))


@without_key
def test_where_keys_are_off_a_signed_in_persons_task_stays_theirs(
    old_stack: Stack, old_outside: OutsideSystem, photo: bytes
) -> None:
    with Frontend(old_stack.api) as frontend:
        account = frontend.sign_up()
        assert_unknown(old_outside, frontend.create_task(account.access_token, photo))
