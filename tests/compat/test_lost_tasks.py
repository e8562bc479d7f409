"""Tasks whose agent is lost, and what the operator of the running product can do about any task."""

import json
from typing import Any

import pytest

from tests.compat import glb
from tests.compat.deployment import agent_of
from tests.compat.frontend import Account, Frontend
from tests.compat.ml_agent import Agent
from tests.servers import postgres
from tests.stacks import Stack, until

pytestmark = pytest.mark.xdist_group("compat")


def fall_silent(stack: Stack, request_uuid: str) -> None:
    """Make the last word on a task an old one."""
    with postgres(database_of(stack)) as conn:
        conn.execute(
            "UPDATE tasks SET last_message_at = now() - interval '1 hour' WHERE request_uuid = %s", (request_uuid,)
        )


def database_of(stack: Stack) -> dict[str, str]:
    found = stack.services["postgres"]
    return {**stack.settings(), "POSTGRES_HOST": found["host"], "POSTGRES_PORT": str(found["port"])}


def shown(stack: Stack, request_uuid: str) -> dict[str, Any]:
    return dict(json.loads(stack.facet("task", "show", request_uuid, "--json").stdout))


def finish(agent: Agent, request_uuid: str, *, attempt: int) -> None:
    """Take this attempt, and no other, to its end."""
    delivery = agent.take(request_uuid)
    assert delivery.properties.headers["x-attempt"] == attempt
    agent.storage.put_with_boto3(delivery.output_bucket, f"{request_uuid}.glb", glb.triangle())
    agent.send_result(request_uuid, delivery.output_bucket, f"{request_uuid}.glb")
    agent.acknowledge(delivery)


def test_a_task_acknowledged_and_left_goes_to_another_agent(
    stack: Stack, frontend: Frontend, account: Account, agent: Agent, photo: bytes
) -> None:
    request_uuid = frontend.create_task(account.access_token, photo)
    with agent_of(stack, declares=False) as careless:
        delivery = careless.take(request_uuid)
        careless.acknowledge(delivery)
        careless.report(request_uuid, "IN_PROGRESS")
        frontend.wait_for(account.access_token, request_uuid, "IN_PROGRESS")
    fall_silent(stack, request_uuid)
    finish(agent, request_uuid, attempt=2)
    frontend.wait_for(account.access_token, request_uuid, "SUCCESS")
    assert (shown(stack, request_uuid)["attempt"], shown(stack, request_uuid)["lost"]) == (2, 1)


def test_an_operator_gives_a_task_to_agents_again(
    stack: Stack, frontend: Frontend, account: Account, agent: Agent, photo: bytes
) -> None:
    request_uuid = frontend.create_task(account.access_token, photo)
    agent.acknowledge(agent.take(request_uuid))
    assert "as attempt 2" in stack.facet("task", "requeue", request_uuid).stdout
    finish(agent, request_uuid, attempt=2)
    frontend.wait_for(account.access_token, request_uuid, "SUCCESS")
    refused = stack.facet("task", "requeue", request_uuid, accept=[1]).stderr
    assert f"TaskFinished: The task {request_uuid} has ended as SUCCESS" in refused
    assert "retry" in refused


def test_an_operator_ends_a_task_and_its_late_model_is_removed(
    stack: Stack, frontend: Frontend, account: Account, agent: Agent, photo: bytes
) -> None:
    request_uuid = frontend.create_task(account.access_token, photo)
    stack.facet("task", "fail", request_uuid, "--code", "NO_FACE", "--message", "a hat")
    found = shown(stack, request_uuid)
    assert (found["status"], found["failure_code"], found["failure_message"]) == ("FAILED", "NO_FACE", "a hat")
    finish(agent, request_uuid, attempt=1)
    until(lambda: not is_noted(stack, request_uuid), within=20, what="the late model is deleted")
    assert shown(stack, request_uuid)["model"] is None


def is_noted(stack: Stack, request_uuid: str) -> bool:
    """Whether the model of this task waits for its deletion."""
    with postgres(database_of(stack)) as conn:
        query = "SELECT FROM object_deletions WHERE object_key = %s"
        return conn.execute(query, (f"{request_uuid}.glb",)).rowcount > 0
