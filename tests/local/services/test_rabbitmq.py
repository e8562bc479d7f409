"""A RabbitMQ of our own: the users' rights on a real node, and what is written for it."""

import json
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pika  # type: ignore[import-untyped]  # pika ships no types
import pytest
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]  # pika ships no types

from local.cloud.environment import DEFAULTS
from local.cloud.state import State
from local.services import debian, rabbitmq, rabbitmq_server
from local.services.process import ServiceFailed
from tests.servers import create_vhost, management

Settings = dict[str, str]
SECRETS = {"RABBITMQ_PASSWORD": "s3cret-one", "AGENT_RABBITMQ_PASSWORD": "s3cret-two"}


@pytest.fixture(scope="module")
def broker(services: Settings, worker: str) -> Settings:
    """A virtual host of these tests' own: they delete queues."""
    return create_vhost(services, f"{worker}-rights")


@contextmanager
def channel(broker: Settings, user: str, password: str) -> Iterator[BlockingChannel]:
    parameters = pika.ConnectionParameters(
        broker["RABBITMQ_HOST"],
        int(broker["RABBITMQ_PORT"]),
        broker["RABBITMQ_VHOST"],
        pika.PlainCredentials(user, password),
    )
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


@contextmanager
def as_application(broker: Settings) -> Iterator[BlockingChannel]:
    with channel(broker, broker["RABBITMQ_USER"], broker["RABBITMQ_PASSWORD"]) as opened:
        yield opened


@contextmanager
def as_agent(broker: Settings) -> Iterator[BlockingChannel]:
    with channel(broker, broker["AGENT_RABBITMQ_USER"], broker["AGENT_RABBITMQ_PASSWORD"]) as opened:
        yield opened


@pytest.fixture
def queues(broker: Settings) -> tuple[str, str]:
    """The two queues, declared by the application and empty."""
    names = broker["RABBITMQ_TASKS_QUEUE"], broker["RABBITMQ_TASKS_RESULTS_QUEUE"]
    with as_application(broker) as amqp:
        for name in names:
            amqp.queue_declare(name, durable=True)
            amqp.queue_purge(name)
    return names


def test_an_agent_may_declare_its_queues_take_tasks_and_publish_results(
    broker: Settings, queues: tuple[str, str]
) -> None:
    tasks, results = queues
    with as_application(broker) as amqp:
        amqp.basic_publish("", tasks, b"task")
    with as_agent(broker) as amqp:
        amqp.confirm_delivery()
        for name in queues:
            amqp.queue_declare(name, durable=True)
        _, _, body = amqp.basic_get(tasks, auto_ack=True)
        assert body == b"task"
        amqp.basic_publish("", results, b"result", mandatory=True)


FORBIDDEN: dict[str, Callable[[BlockingChannel, str], object]] = {
    "declare another queue": lambda amqp, task_queue: amqp.queue_declare("mine", durable=True),
    "read another queue": lambda amqp, task_queue: amqp.basic_get("private"),
    "bind its queue": lambda amqp, task_queue: amqp.queue_bind(task_queue, "amq.topic", "#"),
    "declare an exchange": lambda amqp, task_queue: amqp.exchange_declare("mine"),
    "delete another queue": lambda amqp, task_queue: amqp.queue_delete("private"),
}


@pytest.mark.parametrize("act", FORBIDDEN)
def test_an_agent_may_do_nothing_else(broker: Settings, queues: tuple[str, str], act: str) -> None:
    with as_application(broker) as amqp:
        amqp.queue_declare("private", durable=True)
    with as_agent(broker) as amqp, pytest.raises(pika.exceptions.ChannelClosedByBroker) as refusal:
        FORBIDDEN[act](amqp, queues[0])
    assert refusal.value.reply_code == 403


def test_the_agent_has_no_management_and_there_is_no_default_user(broker: Settings) -> None:
    accounts = {
        (broker["RABBITMQ_USER"], broker["RABBITMQ_PASSWORD"]): 200,
        (broker["AGENT_RABBITMQ_USER"], broker["AGENT_RABBITMQ_PASSWORD"]): 401,
        ("guest", "guest"): 401,
        (broker["RABBITMQ_USER"], "wrong"): 401,
    }
    url = f"{broker['RABBITMQ_MANAGEMENT_URL']}/api/whoami"
    assert {account: httpx.get(url, auth=account).status_code for account in accounts} == accounts
    with management(broker) as http:
        users = {user["name"] for user in http.get("/users").json()}
    assert users == {broker["RABBITMQ_USER"], broker["AGENT_RABBITMQ_USER"]}


def test_queue_names_are_taken_literally_in_rights() -> None:
    rights = rabbitmq.agent_rights({"RABBITMQ_TASKS_QUEUE": "a.b", "RABBITMQ_TASKS_RESULTS_QUEUE": "c+"})
    assert re.search(rights["read"], "a.b")
    assert re.search(rights["write"], "c+")
    assert not re.search(rights["read"], "axb")
    assert not re.search(rights["read"], "c+")  # what other agents report is none of its business
    assert not re.search(rights["configure"], "a.b.dead")
    assert not re.search(rights["configure"], "amq.default")


@pytest.mark.anyio
async def test_a_missing_password_of_the_agent_is_named() -> None:
    given = {"RABBITMQ_USER": "facet", "RABBITMQ_PASSWORD": "x", "AGENT_RABBITMQ_USER": "facet-agent"}
    with pytest.raises(ServiceFailed, match="without AGENT_RABBITMQ_PASSWORD"):
        await rabbitmq.provision(given)


def test_an_account_that_both_share_is_the_applications() -> None:
    env = {**DEFAULTS, **SECRETS, "AGENT_RABBITMQ_USER": DEFAULTS["RABBITMQ_USER"]}
    assert [user["tags"] for user in rabbitmq.definitions(env)["users"]] == ["administrator"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """A state for a node that is never started: its programs are placeholders."""
    erlang, sbin = tmp_path / "x/usr/lib/erlang/bin", tmp_path / "x/usr/lib/rabbitmq/lib/rabbitmq_server-3/sbin"
    erlang.mkdir(parents=True)
    sbin.mkdir(parents=True)

    async def unpack(*_: object, **__: object) -> Path:
        return tmp_path / "x"

    monkeypatch.setattr(debian, "unpack", unpack)
    monkeypatch.setattr(rabbitmq_server, "installed", lambda: None)
    state = State.open(tmp_path, tmp_path / "state")
    yield state
    state.close()


@pytest.mark.anyio
async def test_what_is_written_for_the_node_is_private_and_has_no_password(state: State) -> None:
    programs = await rabbitmq.prepare(state, {**DEFAULTS, **SECRETS}, print)
    assert [program.name for program in programs] == ["epmd", "rabbitmq"]
    home = state.data("rabbitmq")
    files = [file for file in home.rglob("*") if file.is_file()]
    assert len(files) >= 5
    assert all(stat.S_IMODE(file.stat().st_mode) & 0o077 == 0 for file in files)
    assert stat.S_IMODE((home / ".erlang.cookie").stat().st_mode) == 0o400
    written = "".join(file.read_text() for file in files) + str([dict(program.env) for program in programs])
    assert "s3cret" not in written


@pytest.mark.anyio
async def test_the_cookie_stays_and_a_new_password_is_written(state: State) -> None:
    await rabbitmq.prepare(state, {**DEFAULTS, **SECRETS}, print)
    cookie = (state.data("rabbitmq") / ".erlang.cookie").read_text()
    before = json.loads((state.data("rabbitmq") / "definitions.json").read_text())
    await rabbitmq.prepare(state, {**DEFAULTS, **SECRETS, "RABBITMQ_PASSWORD": "new"}, print)
    after = json.loads((state.data("rabbitmq") / "definitions.json").read_text())
    assert (state.data("rabbitmq") / ".erlang.cookie").read_text() == cookie
    assert before["users"] != after["users"]


@pytest.mark.anyio
async def test_where_it_cannot_be_had_the_cause_and_the_other_ways_are_named(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unpack(*_: object, **__: object) -> Path:
        raise debian.Unavailable("there is no apt-get here, so this is not Debian or Ubuntu")

    monkeypatch.setattr(debian, "unpack", unpack)
    with pytest.raises(ServiceFailed) as failure:
        await rabbitmq.prepare(state, {**DEFAULTS, **SECRETS}, print)
    text = str(failure.value)
    assert text.startswith("rabbitmq: there is no apt-get here")
    assert all(way in text for way in ("brew install rabbitmq", "RABBITMQ_HOST in .env", "make deploy"))


@pytest.mark.anyio
@pytest.mark.parametrize(("folder", "variable"), [("with space", "FACET_SERVERS"), ("o'hara", "FACET_STATE")])
async def test_a_path_its_scripts_do_not_survive_is_refused_with_a_way_out(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch, folder: str, variable: str
) -> None:
    monkeypatch.setenv("FACET_SERVERS", str(tmp_path / folder))
    with pytest.raises(ServiceFailed, match=f"next: set the environment variable {variable}"):
        await rabbitmq.prepare(State.open(tmp_path, tmp_path / folder), {**DEFAULTS, **SECRETS}, print)
