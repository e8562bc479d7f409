"""`facet queue …` and `facet send` with a real RabbitMQ: all can be looked at and sent back, nothing is lost."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped] # pika ships no py.typed
import pytest
from click.testing import CliRunner, Result
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped] # as above

from local import cli
from local.cloud.broker import Broker
from local.cloud.queues import Queues
from tests.local.emulator.lab import copy_sample
from tests.local.emulator.test_queue import Queue, RawHeader

Facet = Callable[..., Result]


@pytest.fixture
def queue(broker: dict[str, str]) -> Iterator[Queue]:
    """A queue of a test's own, of type quorum, and that of its dead letters."""
    queue = Queue(broker)
    queue.declare_other(f"{queue.name}.dead")
    dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{queue.name}.dead"}
    queue.declare(**{"x-queue-type": "quorum", "x-delivery-limit": 2}, **dead_letters)
    try:
        yield queue
    finally:
        queue.close()


@pytest.fixture
def settings(queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The environment of a project whose broker has the queue as that of results."""
    for name, value in queue.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RABBITMQ_TASKS_RESULTS_QUEUE", queue.name)
    monkeypatch.setenv("SECRET_KEY", "a secret of the sample")
    monkeypatch.setenv("FACET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FACET_ENV_FILE", str(tmp_path / ".env"))
    monkeypatch.chdir(folder := copy_sample(tmp_path))
    template = (folder / "template.yaml").read_text()
    declared = "\nParameters:\n  RabbitmqTasksResultsQueue: { Type: String }"
    (folder / "template.yaml").write_text(template.replace("\nParameters:", declared))
    return monkeypatch


@pytest.fixture
def facet(settings: pytest.MonkeyPatch) -> Facet:
    def run(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(cli.main, arguments, **options)

    return run


def told(facet: Facet, *arguments: str, **options: Any) -> Any:
    result = facet(*arguments, "--json", **options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def publish_dead(queue: Queue, body: bytes, **properties: Any) -> None:
    channel = queue.channel()
    channel.basic_publish("", f"{queue.name}.dead", body, pika.BasicProperties(**properties))


REASON = {"x-error-code": "NO_JSON", "x-error": "it is no JSON", "traceparent": "00-x"}


def test_the_list_tells_what_waits_and_what_is_dead(facet: Facet, queue: Queue) -> None:
    queue.publish(b"1", b"2")
    publish_dead(queue, b"3")
    rows = {row["name"]: row for row in told(facet, "queue", "list")}
    row, dead = rows[queue.name], rows[f"{queue.name}.dead"]
    assert (row["depth"], row["consumers"], row["type"], row["dead_letters_of"]) == (2, 0, "quorum", None)
    assert (dead["depth"], dead["type"], dead["dead_letters_of"]) == (1, "classic", queue.name)
    assert "2 waiting" in next(line for line in facet("queue", "list").output.splitlines() if queue.name in line)


def test_without_a_management_api_the_known_queues_are_listed(
    facet: Facet, queue: Queue, settings: pytest.MonkeyPatch
) -> None:
    settings.delenv("RABBITMQ_MANAGEMENT_URL")
    rows = {row["name"]: row for row in told(facet, "queue", "list")}
    assert (rows[queue.name]["depth"], rows[queue.name]["unacked"], rows[queue.name]["type"]) == (0, None, None)
    assert rows[f"{queue.name}.dead"]["dead_letters_of"] == queue.name


def test_a_look_leaves_the_messages_in_their_places(facet: Facet, queue: Queue) -> None:
    queue.publish(b'{"n": 1}', message_id="m-1", content_type="application/json")
    queue.publish(b"2", b"3")
    first, second = told(facet, "queue", "peek", "results", "-n", "2")
    assert (first["message_id"], first["body"], first["redelivered"], second["body"]) == ("m-1", '{"n": 1}', False, "2")
    queue.await_depth(queue.name, 3)
    assert [queue.take(queue.name) for _ in range(3)] == [b'{"n": 1}', b"2", b"3"]


def test_looking_often_kills_no_message(facet: Facet, queue: Queue) -> None:
    """The queue drops what comes back a third time."""
    queue.publish(b"1", message_id="m", headers={"mine": 1})
    for _ in range(7):
        assert [letter["body"] for letter in told(facet, "queue", "peek", "results")] == ["1"]
    (letter,) = told(facet, "queue", "peek", "results")
    assert (letter["message_id"], letter["headers"]["mine"]) == ("m", 1)
    queue.await_depth(queue.name, 1)
    assert queue.depth(f"{queue.name}.dead") == 0


def test_secrets_are_not_printed(facet: Facet, queue: Queue) -> None:
    url = "http://localhost/a.jpg?X-Amz-Credential=who&X-Amz-Signature=5ec4e7"
    queue.publish(json.dumps({"url": url}).encode(), headers={"authorization": "Bearer s3cret-s3cret"})
    queue.publish(b"\xff\xfe")
    printed = facet("queue", "peek", "results", "--json").output + facet("queue", "peek", "results").output
    assert "5ec4e7" not in printed
    assert "s3cret" not in printed
    assert "a.jpg" in printed
    assert "[2 bytes]" in printed


def test_dead_letters_tell_their_reason(facet: Facet, queue: Queue) -> None:
    publish_dead(queue, b"{", message_id="m-1", headers=REASON)
    (letter,) = told(facet, "queue", "dead", "results")
    assert (letter["queue"], letter["error_code"], letter["error"]) == (
        f"{queue.name}.dead",
        "NO_JSON",
        "it is no JSON",
    )
    assert "m-1  redelivered  NO_JSON: it is no JSON" in facet("queue", "dead").output


def test_what_the_broker_gave_up_tells_its_reason_too(facet: Facet, queue: Queue) -> None:
    queue.publish(b"1")
    channel = queue.channel()
    method, _, _ = channel.basic_get(queue.name)
    channel.basic_reject(method.delivery_tag, requeue=False)
    queue.await_depth(f"{queue.name}.dead", 1)
    (letter,) = told(facet, "queue", "dead", "results")
    assert letter["error_code"] == "rejected"


def test_a_dead_letter_goes_back_without_its_reason(facet: Facet, queue: Queue) -> None:
    for name in ("m-1", "m-2", "m-3"):
        publish_dead(queue, name.encode(), message_id=name, headers=REASON | {"CC": ["elsewhere"]}, type="report")
    assert told(facet, "queue", "redrive", "results", "--id", "m-2") == {"redriven": 1}
    _, properties, body = queue.channel().basic_get(queue.name)
    assert (body, properties.message_id, properties.type, properties.delivery_mode) == (b"m-2", "m-2", "report", 2)
    assert properties.headers == {"traceparent": "00-x", "x-redriven": 1, "x-delivery-count": 0}
    queue.await_depth(f"{queue.name}.dead", 2)
    assert [queue.take(f"{queue.name}.dead") for _ in range(3)] == [b"m-1", b"m-3", None]


def test_all_dead_letters_go_back_in_order(facet: Facet, queue: Queue) -> None:
    publish_dead(queue, b"1", headers={"x-redriven": 1})
    publish_dead(queue, b"2")
    assert facet("queue", "redrive", queue.name, "--all").output == "2 sent back.\n"
    channel = queue.channel()
    found = [channel.basic_get(queue.name) for _ in range(2)]
    assert [(body, properties.headers["x-redriven"]) for _, properties, body in found] == [(b"1", 2), (b"2", 1)]
    assert queue.depth(f"{queue.name}.dead") == 0


def test_one_can_be_edited_on_its_way_back(facet: Facet, queue: Queue) -> None:
    publish_dead(queue, b"{", message_id="m")
    told(facet, "queue", "redrive", "results", "--id", "m", "--body", "-", input='{"a": 1}')
    assert queue.take(queue.name) == b'{"a": 1}'


def test_who_is_killed_between_leaves_the_message_in_both_queues(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_dead(queue, b"1", message_id="m")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BlockingChannel, "basic_ack", killed)
    with pytest.raises(KeyboardInterrupt):
        Queues(Broker.by(queue.settings)).redrive(queue.name, "m")
    for name in (queue.name, f"{queue.name}.dead"):
        queue.await_depth(name, 1)


def test_what_cannot_go_back_stays(facet: Facet, queue: Queue) -> None:
    publish_dead(queue, b"1", message_id="m", headers={"x-first-death-queue": "gone"})
    result = facet("queue", "redrive", "results", "--all")
    assert result.exit_code == 1
    assert "There is no queue gone." in result.output
    queue.channel().basic_publish("", f"{queue.name}.dead", b"2", RawHeader(b"T" + (2**55).to_bytes(8, "big")))
    queue.await_depth(f"{queue.name}.dead", 2)
    assert queue.take(f"{queue.name}.dead") == b"1"
    assert "headers cannot be read" in facet("queue", "redrive", "results", "--all").output
    queue.await_depth(f"{queue.name}.dead", 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["redrive", "results"], "Say which: --all or --id"),
        (["redrive", "results", "--all", "--id", "m"], "Say which: --all or --id"),
        (["redrive", "results", "--all", "--body", "-"], "--body goes with --id"),
        (["redrive", "results", "--id", "nobody"], "has no message nobody. `facet queue dead` lists them."),
        (["peek", "nowhere"], "There is no queue nowhere. `facet queue list` names those there are."),
        (["purge", "nowhere", "--yes"], "There is no queue nowhere."),
    ],
)
def test_what_cannot_be_done_is_said(facet: Facet, arguments: list[str], said: str) -> None:
    result = facet("queue", *arguments)
    assert result.exit_code != 0
    assert said in result.output


def test_a_purge_asks_first(facet: Facet, queue: Queue) -> None:
    queue.publish(b"1", b"2")
    assert facet("queue", "purge", "results", input="n\n").exit_code == 1
    assert queue.depth() == 2
    assert facet("queue", "purge", "results", "--yes").output == "2 deleted.\n"
    assert queue.depth() == 0


def test_a_message_is_sent(facet: Facet, queue: Queue) -> None:
    sent = told(facet, "send", "results", "-", input='{"a": 1}')
    _, properties, body = queue.channel().basic_get(queue.name)
    assert (sent["queue"], sent["message_id"], body) == (queue.name, properties.message_id, b'{"a": 1}')
    assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)


def test_sending_to_nowhere_fails(facet: Facet) -> None:
    result = facet("send", "nowhere", "-", input="1")
    assert (result.exit_code, "There is no queue nowhere." in result.output) == (1, True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"RABBITMQ_PORT": "1"}, ":1 does not answer. Start it with `facet up --only services`"),
        ({"RABBITMQ_HOST": "nowhere.invalid"}, "RabbitMQ at nowhere.invalid:"),
        ({"RABBITMQ_PASSWORD": "wrong"}, "Check RABBITMQ_USER, RABBITMQ_PASSWORD and RABBITMQ_VHOST."),
        ({"RABBITMQ_HOST": ""}, "There has been no RabbitMQ here yet. Start it with `facet up --only services`."),
    ],
    ids=["away", "unknown", "wrong password", "never started"],
)
def test_a_broker_that_cannot_be_used_is_said(
    facet: Facet, settings: pytest.MonkeyPatch, changed: dict[str, str], said: str
) -> None:
    for name, value in changed.items():
        settings.setenv(name, value)
    result = facet("queue", "peek", "results")
    assert result.exit_code == 1
    assert said in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_management_api_that_is_away_is_said(facet: Facet, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("RABBITMQ_MANAGEMENT_URL", "http://127.0.0.1:1")
    result = facet("queue", "list")
    assert result.exit_code == 1
    assert "check RABBITMQ_MANAGEMENT_URL." in result.output


def test_results_is_a_queue_like_others_where_the_template_has_no_such_setting(
    facet: Facet, settings: pytest.MonkeyPatch, queue: Queue
) -> None:
    settings.delenv("RABBITMQ_TASKS_RESULTS_QUEUE")
    Path("template.yaml").write_text("Resources: {}")
    for name in ("results", "tasks"):
        assert f"There is no queue {name}." in facet("queue", "peek", name).output
        assert f"There is no queue {name}.dead." in facet("queue", "dead", name).output
