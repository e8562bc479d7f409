"""ML agents of the old system take tasks and bring models, in both deployments."""

import secrets

import httpx
import pytest

from tests.compat import glb, pictures
from tests.compat.deployment import Deployment
from tests.compat.frontend import Account


def test_the_task_message_has_the_old_keys_and_no_others(deployment: Deployment, person: Account) -> None:
    request_uuid = deployment.create_task(person)
    delivery = deployment.agent.take(request_uuid)
    task = delivery.task
    assert set(task) == {"request_uuid", "task_client_type", "task_input_metadata"}
    assert task["request_uuid"] == request_uuid
    assert task["task_client_type"] == "WEB_SERVICE"
    assert set(task["task_input_metadata"]) == {"input_file_url", "emotions_files_urls", "output_bucket"}
    assert task["task_input_metadata"]["emotions_files_urls"] == []
    assert task["task_input_metadata"]["output_bucket"] == "3d-files"
    deployment.agent.acknowledge(delivery)


def test_the_message_is_persistent_and_carries_what_is_new_in_its_properties(
    deployment: Deployment, person: Account
) -> None:
    request_uuid = deployment.create_task(person)
    delivery = deployment.agent.take(request_uuid)
    properties = delivery.properties
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    assert properties.correlation_id == request_uuid
    assert properties.type == "avatar.task.v1"
    assert properties.message_id
    assert properties.timestamp
    assert properties.headers["x-attempt"] == 1
    deployment.agent.acknowledge(delivery)


def test_the_agent_reads_the_photo_by_a_plain_get(deployment: Deployment, person: Account) -> None:
    delivery = deployment.agent.take(deployment.create_task(person))
    photo = httpx.get(delivery.task["task_input_metadata"]["input_file_url"], trust_env=False)
    assert photo.status_code == 200
    assert pictures.opened(photo.content).size == (320, 240)
    deployment.agent.acknowledge(delivery)


@pytest.mark.parametrize("library", ["boto3", "minio"])
def test_a_task_goes_from_photo_to_model(deployment: Deployment, person: Account, library: str) -> None:
    agent = deployment.agent
    request_uuid = deployment.create_task(person)
    delivery = agent.take(request_uuid)
    agent.report(request_uuid, "IN_PROGRESS")
    deployment.frontend.wait_for(person.access_token, request_uuid, "IN_PROGRESS")
    upload = agent.storage.put_with_boto3 if library == "boto3" else agent.storage.put_with_minio
    upload(delivery.output_bucket, f"{request_uuid}.glb", glb.triangle())
    agent.send_result(request_uuid, delivery.output_bucket, f"{request_uuid}.glb")
    agent.acknowledge(delivery)
    deployment.succeeds(person, request_uuid)


@pytest.mark.parametrize("library", ["boto3", "minio"])
def test_a_large_model_may_be_written_in_parts(deployment: Deployment, person: Account, library: str) -> None:
    agent, model = deployment.agent, glb.triangle(unused=12_000_000)
    request_uuid = deployment.create_task(person)
    delivery = agent.take(request_uuid)
    upload = agent.storage.put_in_parts_with_boto3 if library == "boto3" else agent.storage.put_in_parts_with_minio
    upload(delivery.output_bucket, f"{request_uuid}.glb", model)
    agent.send_result(request_uuid, delivery.output_bucket, f"{request_uuid}.glb")
    agent.acknowledge(delivery)
    deployment.succeeds(person, request_uuid, model)


@pytest.mark.parametrize("name", ["{uuid}/head.glb", "head_{random}.glb", "out/{random}.glb"])
def test_the_agent_may_choose_the_file_name(deployment: Deployment, person: Account, name: str) -> None:
    agent = deployment.agent
    request_uuid = deployment.create_task(person)
    delivery = agent.take(request_uuid)
    file_name = name.format(uuid=request_uuid, random=secrets.token_hex(6))
    agent.storage.put_with_minio(delivery.output_bucket, file_name, glb.triangle())
    agent.send_result(request_uuid, delivery.output_bucket, file_name)
    agent.acknowledge(delivery)
    deployment.succeeds(person, request_uuid)


def test_a_crashed_agents_task_goes_to_the_next_one(deployment: Deployment, person: Account) -> None:
    request_uuid = deployment.create_task(person)
    deployment.agent.take(request_uuid)
    deployment.agent.channel.close()
    deployment.agent.channel = deployment.agent.connection.channel()
    deployment.agent.finish(request_uuid)
    deployment.succeeds(person, request_uuid)
