"""One trace from the request that makes a task to its last result."""

import json
from typing import Any

import pytest

from tests.compat.frontend import Account, Frontend
from tests.stacks import PROJECT, Stack, until

pytestmark = pytest.mark.xdist_group("stack")

FACE = (PROJECT / "tests" / "data" / "grace_hopper.jpg").read_bytes()


def spans_of(stack: Stack, id: str) -> list[dict[str, Any]]:
    """Those that have been written down so far."""
    told = stack.facet("trace", id, "--json", accept=(0, 1))
    found: list[dict[str, Any]] = json.loads(told.stdout) if told.returncode == 0 else []
    return found


def descends(span: dict[str, Any], kinds: list[tuple[str, str]], known: dict[str, dict[str, Any]]) -> bool:
    """Whether spans of these services and names lie above it, nearest first, others between them."""
    for service, name in kinds:
        while (above := known.get(span["parent_id"] or "")) and (above["service"], above["name"]) != (service, name):
            span = above
        if above is None:
            return False
        span = above
    return True


def test_an_avatars_life_is_one_trace(stack: Stack, frontend: Frontend, account: Account) -> None:
    request_uuid = frontend.create_task(account.access_token, FACE)
    frontend.wait_for(account.access_token, request_uuid, "SUCCESS")
    way = [
        ("consume_results", "process generation_task_results"),
        ("consume_results", "consume_results"),
        ("agent", "send generation_task_results"),
        ("agent", "process generation_tasks"),
        ("create_task", "send generation_tasks"),
        ("create_task", "create_task"),
        ("gateway", "POST /api/v1/3d-model-generation/tasks"),
    ]

    def lives() -> list[dict[str, Any]]:
        """The statements that store the model, when their whole way is known."""
        spans = spans_of(stack, request_uuid)
        known = {span["span_id"]: span for span in spans}
        return [span for span in spans if span["name"] == "INSERT media_objects" and descends(span, way, known)]

    [stored] = until(lives, within=20, what="the whole trace of the task")
    assert stored["attributes"]["db.system.name"] == "postgresql"
    drawn = stack.facet("trace", request_uuid).stdout
    assert stored["trace_id"] in drawn
    assert "process generation_tasks" in drawn
    assert "uploading" in drawn


def test_a_request_is_found_by_the_id_in_its_answer(stack: Stack, frontend: Frontend) -> None:
    answer = frontend.http.get("/health/ready", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    spans = until(lambda: spans_of(stack, answer.headers["x-request-id"]), within=10, what="the trace of a request")
    assert {span["trace_id"] for span in spans} == {"ab" * 16}
    assert {"gateway", "health"} == {span["service"] for span in spans}
