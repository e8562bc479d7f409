"""Five hundred clients wait for one task: everybody is answered, and others read as if nobody waited."""

import asyncio

import httpx
import pytest

from tests.stack.crowd import CLIENTS, TASKS, crowd, stuck
from tests.stacks import Stack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.anyio]

PLACES = 8


async def test_with_five_hundred_waiting_clients_everybody_is_answered_and_others_read(stack: Stack) -> None:
    with httpx.Client(base_url=stack.api, timeout=60, trust_env=False) as http:
        request_uuid = await asyncio.to_thread(stuck, stack, http)
        task = f"{TASKS}/{request_uuid}"
        reads = (f"{task}/status", f"{TASKS}?limit=5", "/user-info/generation-history", "/user-info/profile-info")
        async with crowd(stack.api, task, http.headers["access-token"]) as clients:
            while len(clients.answers) < CLIENTS - PLACES:
                for path in reads:
                    answer = await asyncio.to_thread(http.get, path)
                    assert answer.status_code == 200, answer.text
            assert (await asyncio.to_thread(http.post, f"{task}/cancel")).status_code == 200
    assert len(clients.answers) == CLIENTS
    assert {answer.status_code for answer in clients.answers} == {200}
    assert {answer.json()["request_uuid"] for answer in clients.answers} == {request_uuid}
    told_at_once = {(answer.json()["status"], answer.headers.get("retry-after")) for answer in clients.not_held}
    assert told_at_once <= {("PENDING", "2"), ("CANCELLED", None)}
    assert len(clients.held) >= PLACES
    assert {answer.json()["status"] for answer in clients.held} <= {"PENDING", "CANCELLED"}
    assert {answer.headers["preference-applied"] for answer in clients.held} == {"wait=20"}
