"""facet.broker, facet.queues and the connection under them, against a real broker that is made to misbehave."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import quote
from uuid import uuid4

import httpx
import pika  # type: ignore[import-untyped]  # pika is annotated but ships no py.typed
import psutil
import pytest

from facet import amqp, queues
from facet import broker as rabbit
from facet.settings import settings
from tests.conftest import Settings
from tests.servers import management

Channel = Any  # pika is untyped


class Proxy:
    """Stands between us and the broker, and can fall silent or hang up."""

    def __init__(self, port: int, listen_at: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", listen_at))
        self._broker = ("127.0.0.1", port)
        self._sockets: list[socket.socket] = []
        self._speaking = threading.Event()
        self._speaking.set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.port = self._listener.getsockname()[1]

    def fall_silent(self) -> None:
        self._speaking.clear()

    def speak_again(self) -> None:
        self._speaking.set()

    def hang_up(self) -> None:
        """End every connection, as a broker does that restarts."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.speak_again()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            theirs = socket.create_connection(self._broker)
            self._sockets += [ours, theirs]
            for pair in ((ours, theirs), (theirs, ours)):
                self._threads.append(threading.Thread(target=self._pass_on, args=pair))
                self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._speaking.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


@pytest.fixture(autouse=True)
def at(broker: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with queues of the test's own, which are deleted afterwards."""
    name = uuid4().hex[:8]
    own = {"RABBITMQ_TASKS_QUEUE": f"tasks.{name}", "RABBITMQ_TASKS_RESULTS_QUEUE": f"results.{name}"}
    set_to({**broker, **own}, monkeypatch)
    yield {**broker, **own}
    amqp.close()
    with other(broker) as channel:
        for queue in own.values():
            channel.queue_delete(queue)
            channel.queue_delete(f"{queue}.dead")
    with management(broker) as http:
        for queue in own.values():
            http.delete(f"/policies/{quote(broker['RABBITMQ_VHOST'], safe='')}/facet-{queue}")
    settings.cache_clear()


@pytest.fixture
def queue(at: Settings) -> str:
    """A declared queue."""
    queues.declare()
    return at["RABBITMQ_TASKS_QUEUE"]


@pytest.fixture
def proxy(at: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The way to the broker from here on."""
    proxy = Proxy(int(at["RABBITMQ_PORT"]))
    set_to({"RABBITMQ_PORT": str(proxy.port)}, monkeypatch)
    yield proxy
    proxy.speak_again()
    amqp.close()
    proxy.close()
    set_to({"RABBITMQ_PORT": at["RABBITMQ_PORT"]}, monkeypatch)


def set_to(values: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    amqp.close()


@contextmanager
def other(values: Settings) -> Iterator[Channel]:
    """A channel of somebody else: the test's own."""
    parameters = pika.ConnectionParameters(
        values["RABBITMQ_HOST"],
        int(values["RABBITMQ_PORT"]),
        values["RABBITMQ_VHOST"],
        pika.PlainCredentials(values["RABBITMQ_USER"], values["RABBITMQ_PASSWORD"]),
    )
    with pika.BlockingConnection(parameters) as connection:
        yield connection.channel()


def taken(values: Settings, queue: str) -> list[tuple[Any, bytes]]:
    """Properties and bodies of all messages of a queue, which is then empty."""
    messages: list[tuple[Any, bytes]] = []
    with other(values) as channel:
        while True:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                return messages
            (properties.headers or {}).pop("x-delivery-count", None)  # a quorum queue adds it
            messages.append((properties, body))


def awaited(values: Settings, queue: str) -> tuple[Any, bytes]:
    """The one message that is in a queue or comes soon."""
    deadline = time.monotonic() + 10
    while not (messages := taken(values, queue)):
        assert time.monotonic() < deadline, f"nothing arrived in {queue}"
    assert len(messages) == 1
    return messages[0]


def reject_one(values: Settings, queue: str) -> None:
    with other(values) as channel:
        method, _, _ = channel.basic_get(queue)
        channel.basic_reject(method.delivery_tag, requeue=False)


def send(queue: str, message_id: str = "1") -> None:
    rabbit.publish(queue=queue, body=b"{}", message_id=message_id)


# ---- Publishing -----------------------------------------------------------------------------------------------------
def test_a_message_arrives_whole(at: Settings, queue: str) -> None:
    rabbit.publish(
        queue=queue,
        body=b'{"request_uuid": "u"}',
        message_id="outbox-7",
        correlation_id="u",
        type="avatar.task.v1",
        headers={"x-attempt": 1, "traceparent": "00-ab-cd-01"},
    )
    [(properties, body)] = taken(at, queue)
    assert body == b'{"request_uuid": "u"}'
    assert (properties.message_id, properties.correlation_id, properties.type) == ("outbox-7", "u", "avatar.task.v1")
    assert (properties.content_type, properties.app_id) == ("application/json", "facet")
    assert properties.delivery_mode == 2
    assert abs(properties.timestamp - time.time()) < 60
    assert properties.headers == {"x-attempt": 1, "traceparent": "00-ab-cd-01"}


def test_a_message_for_no_queue_is_not_called_delivered(queue: str) -> None:
    with pytest.raises(rabbit.Unroutable, match="facet migrate"):
        send("no-such-queue")
    send(queue)
    assert rabbit.depth(queue) == 1


def test_a_full_queue_is_unavailable(at: Settings) -> None:
    queue = at["RABBITMQ_TASKS_QUEUE"]
    with other(at) as channel:
        channel.queue_declare(queue, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    send(queue)
    with pytest.raises(rabbit.Unavailable, match="takes no more"):
        send(queue)


def test_the_depth_of_a_queue_is_counted_and_of_no_queue_refused(queue: str) -> None:
    for number in range(3):
        send(queue, str(number))
    assert rabbit.depth(queue) == 3
    with pytest.raises(rabbit.Unroutable, match="no-such-queue"):
        rabbit.depth("no-such-queue")
    assert rabbit.depth(queue) == 3


def test_threads_of_one_process_take_turns(at: Settings, queue: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, [queue] * 40, map(str, range(40))))
    assert {properties.message_id for properties, _ in taken(at, queue)} == set(map(str, range(40)))


def test_after_closing_the_next_use_connects_again(queue: str) -> None:
    send(queue)
    amqp.close()
    send(queue)
    assert rabbit.depth(queue) == 2


# ---- Dead letters ---------------------------------------------------------------------------------------------------
def test_a_dead_letter_is_the_original_with_the_reason(at: Settings, queue: str) -> None:
    rabbit.dead_letter(
        queue=queue,
        body=b"\xffnot json",
        code="MALFORMED",
        error="it is no JSON",
        message_id="m",
        correlation_id="c",
        type="t",
        content_type="text/plain",
        timestamp=datetime(2026, 11, 22, 18, tzinfo=UTC),
        headers={"agent": "gpu-1", "tries": 2, "traceparent": "00-agent"},
        traceparent="00-function",
    )
    [(properties, body)] = taken(at, f"{queue}.dead")
    assert body == b"\xffnot json"
    assert (properties.message_id, properties.correlation_id, properties.type) == ("m", "c", "t")
    assert (properties.content_type, properties.delivery_mode) == ("text/plain", 2)
    assert properties.timestamp == int(datetime(2026, 11, 22, 18, tzinfo=UTC).timestamp())
    assert properties.headers == {
        "agent": "gpu-1",
        "tries": 2,
        "traceparent": "00-function",
        "x-error-code": "MALFORMED",
        "x-error": "it is no JSON",
    }


def test_a_dead_letter_keeps_its_own_trace_when_there_is_no_other(at: Settings, queue: str) -> None:
    rabbit.dead_letter(queue=queue, body=b"", code="C", error="e", headers={"traceparent": "00-agent"})
    [(properties, _)] = taken(at, f"{queue}.dead")
    assert properties.headers["traceparent"] == "00-agent"


def test_the_headers_of_a_dead_letter_send_no_copies_elsewhere(at: Settings, queue: str) -> None:
    copies = {"CC": [queue], "BCC": [at["RABBITMQ_TASKS_RESULTS_QUEUE"]]}
    rabbit.dead_letter(queue=queue, body=b"", code="C", error="e", headers=copies)
    assert len(taken(at, f"{queue}.dead")) == 1
    assert taken(at, queue) == taken(at, at["RABBITMQ_TASKS_RESULTS_QUEUE"]) == []


@pytest.mark.parametrize(
    "headers", [{"h": "\ufffd" * 60_000}, {f"header-{number}": "v" * 100 for number in range(1500)}]
)
def test_headers_too_large_for_a_frame_do_not_keep_a_message_from_the_dead(
    at: Settings, queue: str, headers: dict[str, str]
) -> None:
    rabbit.dead_letter(queue=queue, body=b"poison", code="C", error="e" * 100_000, headers=headers)
    [(properties, body)] = taken(at, f"{queue}.dead")
    assert body == b"poison"
    assert properties.headers["x-headers-dropped"] == len(headers)
    assert len(properties.headers["x-error"]) == 1000


@pytest.mark.parametrize("headers", [{"n" * 300: "v"}, {"number": 2**70}, {"text": "\ud800"}, {"object": object()}])
def test_headers_that_cannot_be_encoded_do_not_keep_a_message_from_the_dead(
    at: Settings, queue: str, headers: dict[str, Any]
) -> None:
    rabbit.dead_letter(queue=queue, body=b"poison", code="C", error="\ud800 is no text", headers=headers)
    [(properties, _)] = taken(at, f"{queue}.dead")
    assert properties.headers == {"x-error-code": "C", "x-error": "? is no text", "x-headers-dropped": 1}


def test_properties_that_cannot_be_encoded_do_not_keep_a_message_from_the_dead(at: Settings, queue: str) -> None:
    rabbit.dead_letter(
        queue=queue,
        body=b"poison",
        code="C",
        error="e",
        message_id="\ufffd" * 200,
        correlation_id="\ud800",
        timestamp=datetime(1900, 1, 1, tzinfo=UTC),
    )
    [(properties, _)] = taken(at, f"{queue}.dead")
    assert properties.message_id == "\ufffd" * 85
    assert properties.correlation_id == "?"
    assert properties.timestamp == 0


# ---- A broker that misbehaves ---------------------------------------------------------------------------------------
def test_a_connection_that_the_broker_closed_while_idle_is_replaced(at: Settings, queue: str) -> None:
    send(queue, "1")
    connection = amqp._connection
    with management(at) as http:
        close_our_connections(http, at)
    send(queue, "2")
    assert amqp._connection is not connection
    assert [properties.message_id for properties, _ in taken(at, queue)] == ["1", "2"]


def close_our_connections(http: httpx.Client, values: Settings) -> None:
    """By the management API, which lists one some seconds after it was opened, and for a while after its end."""
    deadline = time.monotonic() + 60
    vhost, there = quote(values["RABBITMQ_VHOST"], safe=""), int(values["RABBITMQ_PORT"])
    sockets = [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == there]
    ours = {each.laddr.port for each in sockets if each.status == psutil.CONN_ESTABLISHED}
    listed = f"/vhosts/{vhost}/connections"
    while not (found := [each for each in http.get(listed).json() if each.get("peer_port") in ours]):
        assert time.monotonic() < deadline, "the broker lists no connection of ours"
        time.sleep(0.1)
    for each in found:
        http.delete(f"/connections/{quote(each['name'], safe='')}").raise_for_status()


def test_a_connection_that_breaks_on_the_way_is_replaced_and_the_message_sent_again(
    at: Settings, queue: str, proxy: Proxy
) -> None:
    send(queue, "1")
    with patch.object(amqp, "_is_usable", lambda: True):  # the loss is noticed only while publishing
        proxy.hang_up()
        send(queue, "2")
    assert [properties.message_id for properties, _ in taken(at, queue)] == ["1", "2"]


def test_a_connection_idle_for_long_is_replaced_without_asking_it(queue: str, proxy: Proxy) -> None:
    send(queue)
    before = amqp._connection
    proxy.fall_silent()
    amqp._last_used -= amqp.MAX_IDLE + 1
    threading.Timer(0.2, proxy.speak_again).start()
    send(queue)
    assert amqp._connection is not before


def test_a_channel_that_the_broker_closed_is_opened_again(queue: str) -> None:
    with pytest.raises(rabbit.Unroutable):
        rabbit.depth("no-such-queue")
    connection = amqp._connection
    send(queue)
    assert amqp._connection is connection


def test_a_silent_broker_is_given_up_in_time_and_not_asked_again_at_once(
    queue: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp, "DOWN_FOR", 60)  # long enough for any machine to ask twenty times
    send(queue)
    proxy.fall_silent()
    started = time.monotonic()
    with patch.object(amqp, "_connect") as connect, patch.object(amqp, "_is_usable", wraps=amqp._is_usable) as usable:
        for _ in range(20):
            with pytest.raises(rabbit.Unavailable):
                send(queue)
    assert time.monotonic() - started < 2 * amqp.TIMEOUT  # one wait, and not a second
    assert (usable.call_count, connect.call_count) == (1, 0)


def test_a_broker_that_is_back_is_used_again(
    at: Settings, queue: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp, "DOWN_FOR", 0.2)
    send(queue, "1")
    proxy.fall_silent()
    with pytest.raises(rabbit.Unavailable):
        send(queue, "2")
    proxy.speak_again()
    deadline = time.monotonic() + 30
    while not sent(queue, "3"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    arrived = {properties.message_id for properties, _ in taken(at, queue)}
    assert {"1", "3"} <= arrived  # "2" may have arrived too: it was sent but never confirmed


def sent(queue: str, message_id: str) -> bool:
    try:
        send(queue, message_id)
    except rabbit.Unavailable:
        return False
    return True


def test_an_absent_broker_is_a_503_that_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        set_to({"RABBITMQ_PORT": "1"}, changed)
        with pytest.raises(rabbit.Unavailable) as outage:
            rabbit.depth("generation_tasks")
    assert (outage.value.status, outage.value.code) == (503, "BROKER_UNAVAILABLE")
    assert int(outage.value.headers["Retry-After"]) > 0


def test_something_that_is_no_broker_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, monkeypatch.context() as changed:
        set_to({"RABBITMQ_PORT": str(mute.getsockname()[1])}, changed)
        started = time.monotonic()
        with pytest.raises(rabbit.Unavailable):
            rabbit.depth("generation_tasks")
        assert time.monotonic() - started < 2 * amqp.TIMEOUT


def test_a_refused_password_appears_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        set_to({"RABBITMQ_PASSWORD": "wrong-and-secret"}, changed)
        with pytest.raises(rabbit.Unavailable) as outage:
            rabbit.depth("generation_tasks")
    assert "wrong-and-secret" not in f"{outage.value!r} {outage.value.__cause__!r}"


# ---- The queues -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["quorum", "classic"])
def test_what_an_agent_rejects_is_found_among_the_dead(
    at: Settings, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    set_to({"RABBITMQ_QUEUE_TYPE": kind}, monkeypatch)
    names = [at["RABBITMQ_TASKS_QUEUE"], at["RABBITMQ_TASKS_RESULTS_QUEUE"]]
    for _ in range(2):  # the second time changes nothing
        assert queues.declare() == [*names, *(f"{name}.dead" for name in names)]
        assert queues.set_policies() == [f"facet-{name}" for name in names]
    for name in names:
        assert_rejected_is_kept(at, name)


def assert_rejected_is_kept(values: Settings, queue: str) -> None:
    """A policy reaches its queue a moment after it is set, so the first rejected messages may be lost."""
    deadline = time.monotonic() + 10
    while rabbit.depth(f"{queue}.dead") == 0:
        assert time.monotonic() < deadline, f"nothing arrived in {queue}.dead"
        send(queue, "rejected")
        reject_one(values, queue)
        time.sleep(0.05)
    properties, _ = taken(values, f"{queue}.dead")[0]
    assert properties.message_id == "rejected"
    assert properties.headers["x-death"][0]["reason"] == "rejected"


def test_quorum_queues_lose_nothing_on_the_way_to_the_dead(at: Settings, queue: str) -> None:
    queues.set_policies()
    with management(at) as http:
        policy = http.get(f"/policies/{quote(at['RABBITMQ_VHOST'], safe='')}/facet-{queue}").json()
    assert re.match(policy["pattern"], queue)
    assert not re.match(policy["pattern"], f"{queue}.dead")
    assert policy["definition"] == {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}


def test_a_message_that_is_returned_again_and_again_ends_among_the_dead(at: Settings, queue: str) -> None:
    send(queue)
    with other(at) as channel:
        for _ in range(queues.DELIVERY_LIMIT + 1):
            method, _, _ = channel.basic_get(queue)
            channel.basic_reject(method.delivery_tag, requeue=True)
    properties, _ = awaited(at, f"{queue}.dead")
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit"


def test_a_dead_letter_may_be_looked_at_as_often_as_one_likes(at: Settings, queue: str) -> None:
    rabbit.dead_letter(queue=queue, body=b"evidence", code="C", error="e")
    with other(at) as channel:
        for _ in range(queues.DELIVERY_LIMIT + 5):
            method, _, _ = channel.basic_get(f"{queue}.dead")
            channel.basic_reject(method.delivery_tag, requeue=True)
    assert awaited(at, f"{queue}.dead")[1] == b"evidence"


def test_a_classic_queue_is_what_an_old_agent_declares(at: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    set_to({"RABBITMQ_QUEUE_TYPE": "classic"}, monkeypatch)
    queues.declare()
    with other(at) as channel:
        channel.queue_declare(at["RABBITMQ_TASKS_QUEUE"], durable=True)


def test_a_queue_of_another_form_is_named_with_what_to_do(at: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = at["RABBITMQ_TASKS_QUEUE"]
    with other(at) as channel:
        channel.queue_declare(queue, durable=True)
    with pytest.raises(queues.Misconfigured) as refusal:
        queues.declare()
    for hint in (queue, "inequivalent arg", "facet migrate", "RABBITMQ_QUEUE_TYPE"):
        assert hint in str(refusal.value)
    set_to({"RABBITMQ_QUEUE_TYPE": "classic"}, monkeypatch)
    queues.declare()


def test_without_a_management_api_no_policy_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RABBITMQ_MANAGEMENT_URL")
    settings.cache_clear()
    assert queues.set_policies() is None


def test_an_absent_management_api_is_unavailable_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to({"RABBITMQ_MANAGEMENT_URL": "http://127.0.0.1:1"}, monkeypatch)
    with pytest.raises(rabbit.Unavailable, match=r"http://127\.0\.0\.1:1"):
        queues.set_policies()


def test_a_user_who_may_set_no_policy_is_named_with_what_to_do(at: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = {"RABBITMQ_USER": at["AGENT_RABBITMQ_USER"], "RABBITMQ_PASSWORD": at["AGENT_RABBITMQ_PASSWORD"]}
    set_to(agent, monkeypatch)
    with pytest.raises(queues.Misconfigured) as refusal:
        queues.set_policies()
    assert f"set_user_tags {at['AGENT_RABBITMQ_USER']} policymaker" in str(refusal.value)
    assert at["AGENT_RABBITMQ_PASSWORD"] not in str(refusal.value)
