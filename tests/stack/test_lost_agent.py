"""The reference agent is lost in the middle of a task: another, or the same one restarted, finishes it."""

import psutil
import pytest

from tests.compat.frontend import Account, Frontend
from tests.servers import postgres
from tests.stacks import PROJECT, Stack, until

pytestmark = pytest.mark.xdist_group("stack")

FACE = PROJECT / "tests" / "data" / "astronaut.png"


def agent_processes(stack: Stack) -> list[psutil.Process]:
    agent = psutil.Process(stack.status()["services"]["agent"]["pid"])
    return [agent, *agent.children(recursive=True)]


def test_a_frozen_agent_loses_its_task_to_the_next_one(stack: Stack, frontend: Frontend, account: Account) -> None:
    found = stack.services["postgres"]
    at = {**stack.settings(), "POSTGRES_HOST": found["host"], "POSTGRES_PORT": str(found["port"])}
    frozen = agent_processes(stack)
    with postgres(at, autocommit=True) as conn:
        task = frontend.create_task(account.access_token, FACE.read_bytes())
        begun = "SELECT FROM tasks WHERE request_uuid = %s AND status = 'IN_PROGRESS'"
        until(lambda: conn.execute(begun, (task,)).rowcount, within=20, what="an agent has begun")
        for process in frozen:
            process.suspend()

        def given_again() -> bool:
            """Its last reports may be on their way still, so its silence is made long until it has been noticed."""
            silent = "UPDATE tasks SET last_message_at = now() - interval '1 hour' WHERE request_uuid = %s"
            conn.execute(silent, (task,))
            again = "SELECT FROM tasks WHERE request_uuid = %s AND attempt = 2 AND status = 'PENDING'"
            return conn.execute(again, (task,)).rowcount == 1

        until(given_again, within=40, what="the task is announced again")
        for process in frozen:
            process.kill()
        frontend.wait_for(account.access_token, task, "SUCCESS", within=60)
        assert conn.execute("SELECT attempt, lost FROM tasks WHERE request_uuid = %s", (task,)).fetchall() == [(2, 1)]
