"""The agent on a real broker: one task at a time, none lost, none acknowledged before its answer is confirmed."""

import dataclasses
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.agent import broker as agent_broker
from local.agent import reports
from local.agent.assignment import Perform
from local.agent.avatar import Avatar, Progress
from local.agent.consumer import Consumer
from local.agent.reports import Report
from local.agent.settings import Settings
from local.agent.task import Task, Unavailable
from tests.local.agent.forwarder import Forwarder
from tests.local.agent.queues import WITHIN, Queues

AVATAR = Avatar(b"glTF", "#ba997a", vertices=3, triangles=1)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@contextmanager
def consuming(settings: Settings, perform: Perform) -> Iterator[Consumer]:
    consumer = Consumer(settings, perform)
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join(WITHIN)
        assert not thread.is_alive()


def succeed(task: Task, progress: Progress) -> Report:
    progress(40, "fitting")
    return reports.result(task, AVATAR)


class Slowly:
    """Work that lasts until it is released, and counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.release = threading.Event()

    def __call__(self, task: Task, progress: Progress) -> Report:
        self.begun += 1
        assert self.release.wait(WITHIN)
        progress(50, "texturing")
        return reports.result(task, AVATAR)


@pytest.fixture
def slowly() -> Iterator[Slowly]:
    work = Slowly()
    yield work
    work.release.set()


def test_a_task_is_answered_and_acknowledged(broker: dict[str, str], kind: str) -> None:
    with Queues(broker, kind=kind) as queues:
        with consuming(queues.settings(), succeed):
            task = queues.send_task(correlation_id="order 66", headers={"traceparent": TRACE, "x-attempt": 1})
            progress, result = queues.answers_until_end()
        assert queues.waiting(queues.tasks) == 0
    assert progress.body == {"request_uuid": task, "status": "IN_PROGRESS", "progress": 40, "stage": "fitting"}
    assert result.body["minio_metadata"] == {"bucket": "3d-files", "file_name": f"{task}.glb"}
    for answer in (progress, result):
        assert answer.properties.correlation_id == "order 66"
        assert answer.properties.headers["traceparent"] == TRACE
        assert answer.properties.content_type == "application/json"
        assert answer.properties.delivery_mode == 2
        assert answer.properties.app_id == "facet-agent"
        assert abs(answer.properties.timestamp - time.time()) < 60
    assert progress.properties.message_id != result.properties.message_id


def test_without_properties_the_answer_is_correlated_by_the_task(queues: Queues) -> None:
    with consuming(queues.settings(), succeed):
        task = queues.send_task()
        answers = queues.answers_until_end()
    assert {answer.properties.correlation_id for answer in answers} == {task}


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"request_uuid": "no"}'])
def test_a_malformed_task_goes_to_the_dead_letters_and_the_next_is_done(queues: Queues, body: bytes) -> None:
    with consuming(queues.settings(), succeed):
        queues.send(body)
        task = queues.send_task()
        assert queues.dead_letter() == body
        assert {answer.body["request_uuid"] for answer in queues.answers_until_end()} == {task}


def test_an_agent_takes_one_task_at_a_time(queues: Queues, slowly: Slowly) -> None:
    with consuming(queues.settings(), slowly):
        for _ in range(3):
            queues.send_task()
        queues.wait_for(lambda: slowly.begun == 1 and queues.waiting(queues.tasks) == 2, what="one task in hand")
        slowly.release.set()
        for _ in range(3):
            queues.answers_until_end()
    assert slowly.begun == 3


def test_two_agents_share_the_tasks(queues: Queues) -> None:
    first, second = Slowly(), Slowly()
    with consuming(queues.settings(), first), consuming(queues.settings(), second):
        tasks = {queues.send_task() for _ in range(2)}
        queues.wait_for(lambda: first.begun == second.begun == 1, what="a task for each agent")
        first.release.set()
        second.release.set()
        answers = [answer for _ in tasks for answer in queues.answers_until_end()]
    assert {answer.body["request_uuid"] for answer in answers} == tasks


def test_work_longer_than_the_heartbeat_keeps_the_connection(queues: Queues) -> None:
    begun = []

    def work(task: Task, progress: Progress) -> Report:
        begun.append(task)
        time.sleep(4)  # four heartbeats: the broker gives a silent connection up after three
        return reports.result(task, AVATAR)

    with consuming(dataclasses.replace(queues.settings(), heartbeat=1), work):
        queues.send_task()
        queues.answers_until_end()
    assert len(begun) == 1
    assert queues.waiting(queues.tasks) == 0


def test_what_is_away_is_tried_again_after_a_pause(queues: Queues, caplog: pytest.LogCaptureFixture) -> None:
    begun = []

    def work(task: Task, progress: Progress) -> Report:
        begun.append(time.monotonic())
        if len(begun) == 1:
            raise Unavailable("the object store is away")
        return reports.result(task, AVATAR)

    with caplog.at_level(logging.INFO), consuming(queues.settings(), work):
        task = queues.send_task()
        (result,) = queues.answers_until_end()
    assert result.body["request_uuid"] == task
    assert begun[1] - begun[0] >= 1
    assert f"task {task} goes back in 1 s: the object store is away" in caplog.messages
    assert f"task {task}: taken again" in caplog.messages


def test_a_fault_of_the_agent_fails_the_task_without_telling_internals(
    queues: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    def work(task: Task, progress: Progress) -> Report:
        raise ZeroDivisionError("internal detail")

    with consuming(queues.settings(), work):
        task = queues.send_task()
        (failure,) = queues.answers_until_end()
    assert failure.body["status"] == "FAILED"
    assert failure.body["error"]["code"] == "AGENT_ERROR"
    assert "internal" not in json.dumps(failure.body)
    assert "ZeroDivisionError: internal detail" in caplog.text
    assert task in caplog.text


def test_an_agent_waits_until_the_queues_exist(broker: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    queues = Queues(broker, kind="quorum")
    with consuming(queues.settings(), succeed):
        queues.wait_for(lambda: f"there is no queue {queues.tasks} yet" in caplog.text, what="a line about the queue")
        with queues:
            queues.send_task()
            queues.answers_until_end()


def test_an_agent_outlives_the_deletion_of_its_queue(queues: Queues, caplog: pytest.LogCaptureFixture) -> None:
    with consuming(queues.settings(), succeed):
        queues.wait_for(lambda: queues.consumers() == 1, what="the consumer")
        queues.delete_tasks()
        queues.wait_for(lambda: "ended the consumer" in caplog.text, what="a line about the queue")
        queues.declare()
        queues.send_task()
        queues.answers_until_end()


def test_an_agent_waits_for_the_broker_and_comes_back_to_it(queues: Queues, caplog: pytest.LogCaptureFixture) -> None:
    direct = queues.settings()
    line = Forwarder(direct.host, direct.port)
    with consuming(dataclasses.replace(direct, port=line.port), succeed):
        try:
            queues.wait_for(lambda: "again in" in caplog.text, what="a line about the broker")
            for _ in range(2):
                line.up()
                queues.send_task()
                queues.answers_until_end()
                line.down()
        finally:
            line.down()
    assert direct.password not in caplog.text


def test_a_task_in_hand_when_the_connection_breaks_is_delivered_again(queues: Queues, slowly: Slowly) -> None:
    direct = queues.settings()
    line = Forwarder(direct.host, direct.port)
    line.up()
    with consuming(dataclasses.replace(direct, port=line.port), slowly):
        try:
            task = queues.send_task()
            queues.wait_for(lambda: slowly.begun == 1, what="the first attempt")
            line.down()
            slowly.release.set()
            line.up()
            answers = queues.answers_until_end()
        finally:
            line.down()
    assert slowly.begun == 2
    assert [answer.body.get("status") for answer in answers] == ["IN_PROGRESS", None], "nothing of the first attempt"
    assert {answer.body["request_uuid"] for answer in answers} == {task}


def test_a_stopped_agent_finishes_a_short_task(queues: Queues, slowly: Slowly) -> None:
    with consuming(queues.settings(), slowly) as consumer:
        queues.send_task()
        queues.wait_for(lambda: slowly.begun == 1, what="the task in hand")
        consumer.stop()
        slowly.release.set()
        queues.answers_until_end()
    assert queues.waiting(queues.tasks) == 0


def test_a_stopped_agent_gives_a_long_task_back_before_its_end(queues: Queues, slowly: Slowly) -> None:
    with consuming(queues.settings(), slowly) as consumer:
        task = queues.send_task()
        queues.wait_for(lambda: slowly.begun == 1, what="the task in hand")
        consumer.stop()
        queues.wait_for(lambda: queues.waiting(queues.tasks) == 1, what="the task back in the queue")
        assert not slowly.release.is_set()
    with consuming(queues.settings(), succeed):
        assert {answer.body["request_uuid"] for answer in queues.answers_until_end()} == {task}


def test_a_stopped_agent_takes_no_further_task(queues: Queues, slowly: Slowly) -> None:
    with consuming(queues.settings(), slowly) as consumer:
        for _ in range(2):
            queues.send_task()
        queues.wait_for(lambda: slowly.begun == 1, what="the first task in hand")
        consumer.stop()
        slowly.release.set()
        queues.answers_until_end()
    assert slowly.begun == 1
    queues.wait_for(lambda: queues.waiting(queues.tasks) == 1, what="the second task in the queue")


def test_the_ready_file_exists_exactly_while_the_agent_consumes(queues: Queues, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    settings = queues.settings(AGENT_READY_FILE=str(ready))
    with consuming(settings, succeed):
        queues.wait_for(ready.exists, what="the ready file")
        assert queues.consumers() == 1
        queues.delete_tasks()
        queues.wait_for(lambda: not ready.exists(), what="the ready file's end")
        queues.declare()
        queues.wait_for(ready.exists, what="the ready file again")
    assert not ready.exists()


def test_a_port_that_says_nothing_is_no_broker(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agent_broker, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = dataclasses.replace(queues.settings(), port=silent.getsockname()[1])
        with consuming(settings, succeed):
            queues.wait_for(lambda: "again in 1 s" in caplog.text, what="a second attempt")
    assert "Timeout" in caplog.text


def test_a_broker_that_is_away_is_named_with_the_cause(queues: Queues, caplog: pytest.LogCaptureFixture) -> None:
    nobody = Forwarder("127.0.0.1", 1)
    with consuming(dataclasses.replace(queues.settings(), port=nobody.port), succeed):
        queues.wait_for(lambda: "again in" in caplog.text, what="a line about the broker")
    assert f"broker 127.0.0.1:{nobody.port}: " in caplog.text
    assert "Connection refused" in caplog.text


def test_a_stop_before_the_broker_was_there_ends_the_agent(queues: Queues) -> None:
    nobody = Forwarder("127.0.0.1", 1)
    with consuming(dataclasses.replace(queues.settings(), port=nobody.port), succeed) as consumer:
        consumer.stop()
