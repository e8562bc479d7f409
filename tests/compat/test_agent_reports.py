"""What ML agents report, in order and out of it, once and twice, right and wrong, in both deployments."""

import secrets
from urllib.parse import urlsplit

import pytest

from tests.compat import glb, pictures
from tests.compat.deployment import Deployment
from tests.compat.frontend import Account


@pytest.mark.parametrize("outcome", ["INVALID_INPUT", "FAILED"])
def test_a_task_the_agent_gave_up_says_so_and_has_no_result(
    deployment: Deployment, person: Account, outcome: str
) -> None:
    request_uuid = deployment.create_task(person)
    delivery = deployment.agent.take(request_uuid)
    deployment.agent.report(request_uuid, "IN_PROGRESS")
    deployment.agent.report(request_uuid, outcome)
    deployment.agent.acknowledge(delivery)
    deployment.frontend.wait_for(person.access_token, request_uuid, outcome)
    assert deployment.frontend.result(person.access_token, request_uuid).status_code == 404
    assert deployment.frontend.history(person.access_token).json() == {"items": []}


def test_a_result_needs_no_progress_before_it(deployment: Deployment, person: Account) -> None:
    agent = deployment.agent
    request_uuid = deployment.create_task(person)
    delivery = agent.take(request_uuid)
    agent.storage.put_with_boto3(delivery.output_bucket, f"{request_uuid}.glb", glb.triangle())
    agent.send_result(request_uuid, delivery.output_bucket, f"{request_uuid}.glb")
    agent.acknowledge(delivery)
    deployment.succeeds(person, request_uuid)


def test_a_success_message_waits_for_its_result(deployment: Deployment, person: Account) -> None:
    agent = deployment.agent
    request_uuid = deployment.create_task(person)
    delivery = agent.take(request_uuid)
    agent.report(request_uuid, "SUCCESS")
    deployment.handles_everything_before(person)
    assert deployment.status(person, request_uuid) in ("PENDING", "IN_PROGRESS")
    agent.storage.put_with_boto3(delivery.output_bucket, f"{request_uuid}.glb", glb.triangle())
    agent.send_result(request_uuid, delivery.output_bucket, f"{request_uuid}.glb")
    agent.acknowledge(delivery)
    deployment.succeeds(person, request_uuid)


def test_a_result_that_comes_twice_counts_once(deployment: Deployment, person: Account) -> None:
    request_uuid = deployment.create_task(person)
    deployment.agent.finish(request_uuid)
    path = deployment.succeeds(person, request_uuid)
    for skin_color_hex in ("#ba997a", "#ffffff"):
        deployment.agent.send_result(request_uuid, "3d-files", f"{request_uuid}.glb", skin_color_hex)
    deployment.handles_everything_before(person)
    assert deployment.succeeds(person, request_uuid) == path
    result = deployment.frontend.result(person.access_token, request_uuid).json()
    assert result["mesh_metadata"] == {"skin_color_hex": "#ba997a"}


def test_progress_after_success_changes_nothing(deployment: Deployment, person: Account) -> None:
    request_uuid = deployment.create_task(person)
    deployment.agent.finish(request_uuid)
    deployment.frontend.wait_for(person.access_token, request_uuid, "SUCCESS")
    for late in ("IN_PROGRESS", "FAILED", "INVALID_INPUT", "SUCCESS"):
        deployment.agent.report(request_uuid, late)
    deployment.handles_everything_before(person)
    assert deployment.status(person, request_uuid) == "SUCCESS"
    deployment.succeeds(person, request_uuid)


@pytest.mark.parametrize(
    "malformed",
    [
        b"no json %a",
        b'{"request_uuid": 5, "salt": "%a"}',
        b'["%a"]',
        b'{"request_uuid": "%a", "status": "IN_PROGRESS"}',
    ],
)
def test_a_malformed_message_is_set_aside_and_blocks_nothing(
    deployment: Deployment, person: Account, malformed: bytes
) -> None:
    body = malformed.replace(b"%a", secrets.token_hex(6).encode())
    request_uuid = deployment.create_task(person)
    deployment.agent.publish(body)
    deployment.agent.finish(request_uuid)
    deployment.succeeds(person, request_uuid)
    headers = deployment.dead_letter(body)
    assert headers["x-error-code"]
    assert headers["x-error"]


def test_a_result_that_points_at_the_photo_makes_no_model(deployment: Deployment, person: Account) -> None:
    answer = deployment.frontend.create(person.access_token, pictures.photo())
    request_uuid = answer.json()["request_uuid"]
    bucket, file_name = urlsplit(answer.json()["source_file_path"]).path.removeprefix("/").split("/", 1)
    deployment.agent.send_result(request_uuid, bucket, file_name)
    deployment.handles_everything_before(person)
    assert deployment.status(person, request_uuid) != "SUCCESS"
    assert deployment.frontend.result(person.access_token, request_uuid).status_code == 404


def test_a_result_cannot_claim_the_model_of_another_task(deployment: Deployment, person: Account) -> None:
    theirs, mine = deployment.create_task(person), deployment.create_task(person)
    deployment.agent.finish(theirs)
    deployment.frontend.wait_for(person.access_token, theirs, "SUCCESS")
    deployment.agent.send_result(mine, "3d-files", f"{theirs}.glb")
    deployment.handles_everything_before(person)
    assert deployment.status(person, mine) != "SUCCESS"
