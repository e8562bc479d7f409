"""`python -m facet.consume` with the function consume_results: a real broker, a real database, and both taken away."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pika  # type: ignore[import-untyped]  # pika ships no py.typed
import psycopg
import pytest

from facet.consume import main
from facet.consumer import Consumer, Options
from facet.function import Function
from facet.messages import Message
from facet.options import WrongOption
from facet.settings import settings
from tests.conftest import PROJECT, Settings
from tests.layers.test_broker import Proxy, taken
from tests.servers import management, postgres
from tests.stacks import free_port

Sql = psycopg.Connection[tuple[Any, ...]]
PATHS = [PROJECT, PROJECT / "layers/facet/python", PROJECT / "shared"]
QUEUE = "generation_task_results"
DEAD = f"{QUEUE}.dead"


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds: {what}"
        time.sleep(0.02)


class Consuming:
    """The command in a process of its own."""

    def __init__(self, settings: Settings, folder: Path, *arguments: str, **changed: str) -> None:
        self.ready = folder / f"ready-{uuid4()}"
        self._out, self._err = folder / f"{self.ready.name}.out", folder / f"{self.ready.name}.err"
        paths = os.pathsep.join(map(str, PATHS))
        variables = {**os.environ, **settings, "PYTHONPATH": paths, "FACET_READY_FILE": str(self.ready), **changed}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            command = [sys.executable, "-m", "facet.consume", *arguments]
            self.process = subprocess.Popen(command, env=variables, stdout=out, stderr=err, cwd=folder)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    @property
    def complaint(self) -> str:
        return self._err.read_text()

    def said(self, words: str) -> int:
        return sum(words in line["message"] for line in self.lines)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def consuming(settings: Settings, folder: Path, **changed: str) -> Iterator[Consuming]:
    consumer = Consuming(settings, folder, **changed)
    try:
        until(consumer.ready.exists, "the consumer consumes")
        yield consumer
    finally:
        consumer.kill()


class Queue:
    """The results queue as its publishers and its operators see it."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def report(self, task: str, progress: int, times: int = 1) -> None:
        body = json.dumps({"request_uuid": task, "status": "IN_PROGRESS", "progress": progress}).encode()
        for _ in range(times):
            self.publish(body)

    def publish(self, body: bytes, properties: pika.BasicProperties | None = None) -> None:
        self.channel.basic_publish("", QUEUE, body, properties or pika.BasicProperties(delivery_mode=2))

    def waiting(self, queue: str = QUEUE) -> int:
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)


@pytest.fixture
def queue(clean: Settings) -> Iterator[Queue]:
    account = pika.PlainCredentials(clean["RABBITMQ_USER"], clean["RABBITMQ_PASSWORD"])
    host, port, vhost = clean["RABBITMQ_HOST"], int(clean["RABBITMQ_PORT"]), clean["RABBITMQ_VHOST"]
    parameters = pika.ConnectionParameters(host, port, vhost, account, heartbeat=0)
    with pika.BlockingConnection(parameters) as connection:
        yield Queue(connection.channel())


@pytest.fixture
def sql(clean: Settings) -> Iterator[Sql]:
    with postgres(clean, autocommit=True) as connection:
        yield connection


def tasks(sql: Sql, count: int) -> list[str]:
    """So many tasks that wait for an agent."""
    sql.execute("INSERT INTO users (name, email, password_hash) VALUES ('Ada', 'ada@example.org', 'x')")
    sql.execute(
        """
        INSERT INTO media_objects (kind, bucket, object_key, content_type, size, sha256)
        VALUES ('photo', 'input-images', 'a.jpg', 'image/jpeg', 1, sha256('a'))
        """
    )
    rows = sql.execute(
        """
        INSERT INTO tasks (user_id, client_type, photo_id, output_bucket, status, published_at)
        SELECT u.id, 'WEB_SERVICE', m.id, '3d-files', 'PENDING', now()
        FROM users u, media_objects m, generate_series(1, %s) RETURNING request_uuid
        """,
        (count,),
    )
    return [str(uuid) for (uuid,) in rows]


def progress(sql: Sql) -> list[tuple[int, int]]:
    """How far every task is, and how often it was changed."""
    return [(row[0], row[1]) for row in sql.execute("SELECT progress, revision FROM tasks ORDER BY id")]


@contextmanager
def locked(settings: Settings, task: str) -> Iterator[None]:
    """Whoever wants to change the task waits meanwhile, and fails after three seconds."""
    with postgres(settings) as connection:
        connection.execute("SELECT FROM tasks WHERE request_uuid = %s FOR UPDATE", (task,))
        yield
        connection.rollback()


def is_waiting_for_a_lock(sql: Sql) -> bool:
    row = sql.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    return row is not None and row[0] > 0


# ---- What it does ---------------------------------------------------------------------------------------------------
def test_500_messages_have_their_effect_once_though_each_came_twice_and_its_consumer_was_killed(
    clean: Settings, queue: Queue, sql: Sql, tmp_path: Path
) -> None:
    steps = [10, 20, 50, 80, 100]
    names = tasks(sql, 50)
    for step in steps:
        for name in names:
            queue.report(name, step, times=2)
    for share in (100, 250):
        with consuming(clean, tmp_path) as consumer:
            until(lambda share=share: sum(row[1] - 1 for row in progress(sql)) > share / 2, f"{share} of them handled")  # type: ignore[misc]  # bound per loop
            consumer.kill()
    with consuming(clean, tmp_path) as consumer:
        until(lambda: progress(sql) == [(100, 1 + len(steps))] * 50, "all handled")
        assert consumer.stop() == 0
    assert (queue.waiting(), queue.waiting(DEAD)) == (0, 0)
    assert progress(sql) == [(100, 1 + len(steps))] * 50


def test_a_message_that_nobody_can_use_goes_to_the_dead_letters_and_the_next_one_is_handled(
    clean: Settings, queue: Queue, sql: Sql, tmp_path: Path
) -> None:
    [task] = tasks(sql, 1)
    queue.publish(b"poison", pika.BasicProperties(message_id="p-1", headers={"count": 7}, delivery_mode=2))
    queue.report(task, 40)
    with consuming(clean, tmp_path):
        until(lambda: progress(sql)[0][0] == 40, "the next one handled")
    [(properties, body)] = taken(clean, DEAD)
    assert (body, properties.message_id, properties.headers["count"]) == (b"poison", "p-1", 7)
    assert properties.headers["x-error-code"]


class Undecodable(pika.BasicProperties):  # type: ignore[misc]  # pika is untyped
    """A header `x` with a time that pika cannot read."""

    def encode(self) -> list[bytes]:
        field = b"\x01xT" + (2**63 - 1).to_bytes(8, "big")
        return [self.FLAG_HEADERS.to_bytes(2, "big"), len(field).to_bytes(4, "big"), field]


def test_a_message_whose_headers_cannot_be_read_goes_to_the_dead_letters_and_breaks_no_connection(
    clean: Settings, queue: Queue, sql: Sql, tmp_path: Path
) -> None:
    [task] = tasks(sql, 1)
    queue.publish(b"odd", Undecodable(headers={}))
    queue.report(task, 40)
    with consuming(clean, tmp_path) as consumer:
        until(lambda: progress(sql)[0][0] == 40, "the next one handled")
        until(lambda: queue.waiting(DEAD) == 1, "the odd one dead-lettered")
        assert consumer.said("RabbitMQ is away") == 0


def test_a_message_of_a_killed_process_is_handled_by_the_next_one(
    clean: Settings, queue: Queue, sql: Sql, tmp_path: Path
) -> None:
    [task] = tasks(sql, 1)
    with consuming(clean, tmp_path) as consumer, locked(clean, task):
        queue.report(task, 40)
        until(lambda: is_waiting_for_a_lock(sql), "the message at work")
        consumer.kill()
    until(lambda: queue.waiting() == 1, "the message given back")
    with consuming(clean, tmp_path):
        until(lambda: progress(sql) == [(40, 2)], "the message handled")


# ---- Outages --------------------------------------------------------------------------------------------------------
@contextmanager
def no_database(services: Settings, settings: Settings) -> Iterator[None]:
    """Nobody gets into the database of this test."""
    name = settings["POSTGRES_DB"]
    with postgres(services, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_an_outage_of_the_database_costs_a_message_no_delivery(
    services: Settings, clean: Settings, queue: Queue, tmp_path: Path
) -> None:
    with postgres(clean, autocommit=True) as sql:
        [task] = tasks(sql, 1)
    with consuming(clean, tmp_path) as consumer:
        with no_database(services, clean):
            queue.report(task, 40)
            until(lambda: consumer.said("is kept and tried again") > 1, "the message tried twice")
            assert queue.waiting() == 0
        with postgres(clean, autocommit=True) as sql:
            until(lambda: progress(sql) == [(40, 2)], "the message handled")
        assert consumer.said("DATABASE_UNAVAILABLE") > 1
        assert consumer.stop() == 0


def test_a_message_that_cannot_be_handled_now_is_given_back_at_the_end(
    services: Settings, clean: Settings, queue: Queue, tmp_path: Path
) -> None:
    with consuming(clean, tmp_path) as consumer, no_database(services, clean):
        queue.report(str(uuid4()), 40, times=20)
        until(lambda: consumer.said("is kept and tried again") > 1, "the message tried twice")
        assert consumer.stop() == 0
    until(lambda: queue.waiting() == 20, "all messages given back")


def test_a_closed_connection_is_replaced(clean: Settings, sql: Sql, tmp_path: Path) -> None:
    [task] = tasks(sql, 1)
    with consuming(clean, tmp_path) as consumer:
        with management(clean) as http:
            until(lambda: close_all(http, clean) and consumer.said("consuming") > 1, "the consumer consumes again")
        with pika.BlockingConnection(parameters_of(clean)) as connection:
            Queue(connection.channel()).report(task, 40)
        until(lambda: progress(sql) == [(40, 2)], "the message handled")
        assert consumer.stop() == 0


def close_all(http: httpx.Client, settings: Settings) -> bool:
    """By the management API, which lists a connection some seconds after it was opened."""
    for each in http.get(f"/vhosts/{quote(settings['RABBITMQ_VHOST'], safe='')}/connections").json():
        http.delete(f"/connections/{quote(each['name'], safe='')}")
    return True


def parameters_of(settings: Settings) -> pika.ConnectionParameters:
    account = pika.PlainCredentials(settings["RABBITMQ_USER"], settings["RABBITMQ_PASSWORD"])
    return pika.ConnectionParameters(
        settings["RABBITMQ_HOST"], int(settings["RABBITMQ_PORT"]), settings["RABBITMQ_VHOST"], account
    )


def test_a_broker_that_is_away_at_the_start_is_waited_for(
    clean: Settings, queue: Queue, sql: Sql, tmp_path: Path
) -> None:
    [task] = tasks(sql, 1)
    queue.report(task, 40)
    port = free_port()
    left = tmp_path / "left"
    left.touch()
    consumer = Consuming(clean, tmp_path, RABBITMQ_PORT=str(port), FACET_READY_FILE=str(left))
    consumer.ready = left
    try:
        until(lambda: consumer.said("RabbitMQ is away") > 0, "the consumer says what is missing")
        assert not consumer.ready.exists()
        proxy = Proxy(int(clean["RABBITMQ_PORT"]), port)
        try:
            until(lambda: progress(sql) == [(40, 2)], "the message handled")
            assert consumer.ready.exists()
            proxy.hang_up()
            until(lambda: consumer.said("consuming") == 2, "the consumer consumes again")
            assert consumer.stop() == 0
        finally:
            proxy.close()
    finally:
        consumer.kill()
    assert not consumer.ready.exists()


def test_a_signal_ends_a_consumer_that_waits_for_its_broker(clean: Settings, tmp_path: Path) -> None:
    consumer = Consuming(clean, tmp_path, RABBITMQ_PORT=str(free_port()))
    try:
        until(lambda: consumer.said("RabbitMQ is away") > 0, "the consumer says what is missing")
        assert consumer.stop() == 0
    finally:
        consumer.kill()


# ---- The end --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_message_at_work_be_settled_and_gives_back_the_others(
    number: signal.Signals, clean: Settings, queue: Queue, sql: Sql, tmp_path: Path
) -> None:
    first, second = tasks(sql, 2)
    with consuming(clean, tmp_path) as consumer:
        with locked(clean, first):
            queue.report(first, 40)
            queue.report(second, 40, times=5)
            until(lambda: is_waiting_for_a_lock(sql), "the first message at work")
            consumer.process.send_signal(number)
            until(lambda: consumer.said("stopping"), "the consumer takes nothing further")
        assert consumer.process.wait(60) == 0
        assert (consumer.complaint, consumer.ready.exists()) == ("", False)
    assert progress(sql) == [(40, 2), (0, 1)]
    until(lambda: queue.waiting() == 5, "the others given back")


def test_the_grace_ends_a_message_that_takes_too_long(clean: Settings, queue: Queue, sql: Sql, tmp_path: Path) -> None:
    [task] = tasks(sql, 1)
    with consuming(clean, tmp_path, FACET_GRACE="1") as consumer, locked(clean, task):
        queue.report(task, 40)
        until(lambda: is_waiting_for_a_lock(sql), "the message at work")
        assert consumer.stop() == 0
        until(lambda: queue.waiting() == 1, "the message given back")


def test_a_second_signal_ends_the_process_at_once(clean: Settings, queue: Queue, sql: Sql, tmp_path: Path) -> None:
    [task] = tasks(sql, 1)
    with consuming(clean, tmp_path) as consumer, locked(clean, task):
        queue.report(task, 40)
        until(lambda: is_waiting_for_a_lock(sql), "the message at work")
        consumer.process.send_signal(signal.SIGTERM)
        until(lambda: consumer.said("stopping"), "the consumer takes nothing further")
        assert consumer.stop() == 0
        until(lambda: queue.waiting() == 1, "the message given back")


# ---- What trying again would not help -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"RABBITMQ_PASSWORD": "wrong"}, 'refuses the user "{user}": correct RABBITMQ_USER and RABBITMQ_PASSWORD.'),
        ({"RABBITMQ_VHOST": "nowhere"}, 'has no virtual host "nowhere" for "{user}"'),
        ({"RABBITMQ_TASKS_RESULTS_QUEUE": "none"}, 'There is no queue "none": make it with'),
        ({"RABBITMQ_PORT": "none"}, "RABBITMQ_PORT: "),
        ({"RABBITMQ_HOST": ""}, "RABBITMQ_HOST is not set"),
        ({"FACET_READY_FILE": "/nowhere/ready"}, "FACET_READY_FILE, /nowhere/ready, cannot be written"),
        ({"FACET_PREFETCH": "0"}, "FACET_PREFETCH is '0', and has to be a whole number from 1 to 1000."),
    ],
)
def test_what_only_an_operator_can_mend_is_said_in_one_line(
    changed: Settings, words: str, clean: Settings, tmp_path: Path
) -> None:
    consumer = Consuming(clean, tmp_path, **changed)
    assert consumer.process.wait(60) == 1
    assert words.format(user=clean["RABBITMQ_USER"]) in consumer.complaint
    assert consumer.complaint.count("\n") == 1
    assert clean["RABBITMQ_PASSWORD"] not in consumer.complaint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["consume_nothing"], "There is no function consume_nothing."),
        (["health"], "facet.consume: The function health consumes no messages"),
    ],
)
def test_only_a_consumer_is_started(
    arguments: Sequence[str], words: str, environment: Settings, tmp_path: Path
) -> None:
    consumer = Consuming(environment, tmp_path, *arguments)
    assert (consumer.process.wait(60), words in consumer.complaint) == (1, True)


def test_the_options_are_those_of_the_environment() -> None:
    assert Options.read({}) == Options(prefetch=10, grace=25, timeout=30, ready=None)
    given = {"FACET_PREFETCH": "1", "FACET_GRACE": "5", "FACET_TIMEOUT": "60", "FACET_READY_FILE": "/tmp/ready"}
    assert Options.read(given) == Options(prefetch=1, grace=5, timeout=60, ready=Path("/tmp/ready"))
    with pytest.raises(WrongOption, match="FACET_GRACE is 'soon'"):
        Options.read({"FACET_GRACE": "soon"})


def test_help_says_which_function_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "consume_results" in capsys.readouterr().out


# ---- The thread of the connection -----------------------------------------------------------------------------------
@contextmanager
def running(function: Function) -> Iterator[Consumer]:
    """A consumer in a thread of this process."""
    consumer = Consumer(function, Options(grace=5))
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_heartbeats_go_on_while_a_message_is_at_work(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facet.consumer.HEARTBEAT", 1)
    app, handled = Function("example"), []

    @app.consumer
    def handle(message: Message) -> None:
        time.sleep(4)  # the broker ends a connection after two heartbeats that did not come
        handled.append(message.redelivered)

    queue.publish(b"1")
    with running(app):
        until(lambda: handled, "the message handled")
    assert (handled, queue.waiting()) == ([False], 0)


@pytest.mark.parametrize("error", [ValueError("it does not work"), SystemExit(1)])
def test_a_message_is_tried_again_whatever_was_raised_and_no_cause_is_made_up(
    error: BaseException, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    app, tries = Function("example"), []

    @app.consumer
    def handle(message: Message) -> None:
        tries.append(message.redelivered)
        if len(tries) == 1:
            raise error

    queue.publish(b"1")
    with running(app):
        until(lambda: len(tries) == 2, "the message tried again")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [failure] = [line for line in lines if "tried again" in line["message"]]
    assert (failure["error"], failure.get("cause")) == (type(error).__name__, None)


def test_a_broker_that_fell_silent_is_noticed(
    clean: Settings, queue: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = Proxy(int(clean["RABBITMQ_PORT"]))
    monkeypatch.setattr("facet.consumer.HEARTBEAT", 1)
    monkeypatch.setenv("RABBITMQ_PORT", str(proxy.port))
    settings.cache_clear()
    app = Function("example")
    handled: list[Message] = []
    app.consumer(handled.append)
    said: list[str] = []

    def is_away() -> bool:
        said.append(capsys.readouterr().out)
        return "RabbitMQ is away" in "".join(said)

    try:
        with running(app):
            queue.publish(b"1")
            until(lambda: handled, "the consumer consumes")
            proxy.fall_silent()
            until(is_away, "the silence noticed")
            proxy.speak_again()
            queue.publish(b"2")
            until(lambda: any(message.body == b"2" for message in handled), "the consumer consumes again")
    finally:
        proxy.close()
        settings.cache_clear()
