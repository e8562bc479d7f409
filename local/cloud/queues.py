"""The broker's queues for their operator: what waits, what is dead and why, and back to where it came from."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import quote

import pika  # type: ignore[import-untyped] # pika ships no py.typed
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped] # as above
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError  # type: ignore[import-untyped] # as above

from local.cloud.broker import Broker, BrokerProblem
from local.cloud.letters import Letter, take

DEAD = ".dead"
_NOT_FOUND = 404
_REASONS = ("x-error", "x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
_COPIES = ("CC", "BCC")  # RabbitMQ would send the message to every queue named there, too


@dataclass(frozen=True)
class Row:
    """A queue. Without a management API only depth and consumers are known."""

    name: str
    depth: int
    consumers: int
    unacked: int | None = None
    type: str | None = None
    dead_letters_of: str | None = None


class Queues:
    """Each method opens a connection of its own. All raise BrokerProblem."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def named(self, name: str) -> str:
        """A queue's own name, given that or a short one: `tasks`, `results.dead`."""
        stem = name.removesuffix(DEAD)
        return self._broker.names.get(stem, stem) + name[len(stem) :]

    def rows(self, declared: Sequence[str] = ()) -> list[Row]:
        """All queues; without a management API those that are `declared` or have a short name, and their dead ones."""
        known = self._broker.ask("queues/{vhost}?disable_stats=true&enable_queue_totals=true")
        if known is None:
            names = dict.fromkeys([*declared, *self._broker.names.values()])
            known = [{"name": each} for name in names for each in (name, f"{name}{DEAD}")]
        sources = {
            settings.get("dead-letter-routing-key"): each["name"]
            for each in known
            if (settings := _settings(each)).get("dead-letter-exchange") == ""
        }
        rows = []
        with self._broker.channel() as channel:
            for each in sorted(known, key=itemgetter("name")):
                with contextlib.suppress(_NoQueue):
                    found = _declared(channel.connection.channel(), each["name"])
                    rows.append(_row(each, found, sources.get(each["name"])))
        return rows

    def peek(self, queue: str, count: int) -> list[dict[str, Any]]:
        """The first messages, as they are described.

        RabbitMQ shows none without taking it: they go back to their places, as redelivered.
        """
        with self._queue(self.named(queue)) as (channel, _):
            taken = take(channel, self.named(queue), count)  # a quorum queue's own count may be late
            self._put_back(channel, self.named(queue), taken)
        return [letter.described() for letter in taken]

    def redrive(self, queue: str, message_id: str | None, body: bytes | None = None) -> int:
        """Move dead letters back to the queue they came from: one, with a new body maybe, or all; how many it were.

        Each is published and confirmed before it is taken off: who is killed between leaves it in both.
        """
        dead = f"{self.named(queue).removesuffix(DEAD)}{DEAD}"
        with self._queue(dead) as (channel, found):
            if message_id is None:
                letters = (letter for _ in range(found.message_count) for letter in take(channel, dead, 1))
                return sum(self._send_back(channel, dead, letter, body) for letter in letters)
            taken = take(channel, dead, found.message_count)
            wanted = next((letter for letter in taken if letter.properties.message_id == message_id), None)
            try:
                if wanted is None:
                    raise BrokerProblem(f"{dead} has no message {message_id}. `facet queue dead` lists them.")
                self._send_back(channel, dead, wanted, body)
                taken.remove(wanted)
            finally:
                self._put_back(channel, dead, taken)
            return 1

    def purge(self, queue: str) -> int:
        """Delete every waiting message; how many it were."""
        with self._queue(self.named(queue)) as (channel, _):
            return int(channel.queue_purge(self.named(queue)).method.message_count)

    def send(self, queue: str, body: bytes) -> str:
        """Publish a message and wait until the broker has it; its id."""
        properties = pika.BasicProperties(
            message_id=str(uuid.uuid4()),
            content_type=_content_type(body),
            delivery_mode=pika.DeliveryMode.Persistent,
            timestamp=int(time.time()),
            app_id="facet",
        )
        with self._broker.channel() as channel:
            self._publish(channel, self.named(queue), body, properties)
        return str(properties.message_id)

    def _send_back(self, channel: BlockingChannel, dead: str, letter: Letter, body: bytes | None) -> int:
        headers = letter.headers
        if "unreadable" in headers:
            raise BrokerProblem(f"{dead} has a message whose headers cannot be read, so it stays: {headers}")
        source = headers.get("x-first-death-queue") or dead.removesuffix(DEAD)
        kept = {name: value for name, value in headers.items() if not name.startswith(_REASONS)}
        kept["x-redriven"] = int(headers.get("x-redriven") or 0) + 1
        self._publish(channel, str(source), letter.body if body is None else body, letter.properties, kept)
        channel.basic_ack(letter.tag)
        return 1

    def _put_back(self, channel: BlockingChannel, queue: str, letters: Sequence[Letter]) -> None:
        """To their places; but what a quorum queue would drop for having come back too often is sent as new."""
        limit = _settings(self._broker.ask(f"queues/{{vhost}}/{quote(queue, safe='')}") or {}).get("delivery-limit")
        for letter in letters:
            count = letter.headers.get("x-delivery-count", 0)
            if limit is not None and count >= limit:
                kept = {name: value for name, value in letter.headers.items() if name != "x-delivery-count"}
                self._publish(channel, queue, letter.body, letter.properties, kept)
                channel.basic_ack(letter.tag)
            else:
                channel.basic_nack(letter.tag, requeue=True)  # a reject counts as a failure from RabbitMQ 4.3 on

    def _publish(
        self,
        channel: BlockingChannel,
        queue: str,
        body: bytes,
        properties: pika.BasicProperties,
        headers: dict[str, Any] | None = None,
    ) -> None:
        sent = copy(properties)
        sent.user_id = None  # the broker takes only our own
        sent.delivery_mode = pika.DeliveryMode.Persistent.value
        sent.headers = {name: value for name, value in (headers or {}).items() if name not in _COPIES}
        try:
            channel.basic_publish("", queue, body, sent, mandatory=True)
        except UnroutableError as exc:
            raise _NoQueue(queue) from exc
        except NackError as exc:
            raise BrokerProblem(
                f"The queue {queue} takes no more messages. `facet queue list` tells how full."
            ) from exc

    @contextlib.contextmanager
    def _queue(self, name: str) -> Iterator[tuple[BlockingChannel, Any]]:
        """A channel, and what the broker says of the queue."""
        with self._broker.channel() as channel:
            yield channel, _declared(channel, name)


class _NoQueue(BrokerProblem):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no queue {name}. `facet queue list` names those there are.")


def _declared(channel: BlockingChannel, name: str) -> Any:
    try:
        return channel.queue_declare(name, passive=True).method
    except ChannelClosedByBroker as exc:
        if exc.reply_code == _NOT_FOUND:
            raise _NoQueue(name) from exc
        raise


def _row(known: dict[str, Any], found: Any, source: str | None) -> Row:
    """`source` is the queue whose arguments name this one; ours are known by their names as well."""
    name = known["name"]
    unacked, kind = known.get("messages_unacknowledged"), known.get("type")
    source = source or (name.removesuffix(DEAD) if name.endswith(DEAD) else None)
    return Row(name, found.message_count, found.consumer_count, unacked, kind, source)


def _settings(queue: dict[str, Any]) -> dict[str, Any]:
    """What arguments and policy say of a queue; of a delivery limit the lower holds, elsewhere the argument."""
    arguments = {name.removeprefix("x-"): value for name, value in (queue.get("arguments") or {}).items()}
    policy = queue.get("effective_policy_definition") or {}
    found = {**policy, **arguments}
    if "delivery-limit" in arguments and "delivery-limit" in policy:
        found["delivery-limit"] = min(arguments["delivery-limit"], policy["delivery-limit"])
    return found


def _content_type(body: bytes) -> str:
    try:
        json.loads(body)
    except UnicodeDecodeError:
        return "application/octet-stream"
    except ValueError:
        return "text/plain"
    return "application/json"
