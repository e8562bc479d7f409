"""What we say to RabbitMQ: confirmed messages, dead letters, and which queues there are."""

import json
import re
import struct
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pika  # type: ignore[import-untyped]  # pika is annotated but ships no py.typed
from pika.data import encode_table  # type: ignore[import-untyped]  # as above
from pika.exceptions import (  # type: ignore[import-untyped]  # as above
    AMQPError,
    ChannelClosedByBroker,
    NackError,
    UnroutableError,
)

from facet.amqp import TIMEOUT, with_channel
from facet.amqp import Unavailable as Unavailable
from facet.amqp import close as close
from facet.settings import settings

DELIVERY_LIMIT = 20  # the last guard against a message that kills whoever takes it
NEVER = 1_000_000  # deliveries; from RabbitMQ 4 on a queue without a limit drops a message at the 20th

_NOT_FOUND, _PRECONDITION_FAILED = 404, 406
_DENIED = (401, 403)
_ROUTING_HEADERS = frozenset({"CC", "BCC"})  # RabbitMQ sends a copy to every queue named there
_MAX_HEADERS = 64 * 1024  # bytes; with ours they must fit one frame of 128 KiB
_MAX_ERROR = 1000  # characters


class Unroutable(Unavailable):
    """There is no such queue, so the message went nowhere."""

    def __init__(self, queue: str) -> None:
        super().__init__(f'There is no queue "{queue}": declare it with `facet migrate`.')


class Misconfigured(Exception):
    """The broker cannot be brought into the declared state; the text says what to do."""


def publish(
    *,
    queue: str,
    body: bytes,
    message_id: str,
    correlation_id: str | None = None,
    type: str | None = None,
    content_type: str = "application/json",
    headers: Mapping[str, Any] | None = None,
) -> None:
    """Put a persistent message into a queue and return when the broker has confirmed it.

    Where the connection died on the way, it is published again with the same message_id: it may arrive twice.
    Raises Unavailable, or Unroutable when there is no such queue.
    """
    properties = pika.BasicProperties(
        message_id=message_id,
        correlation_id=correlation_id,
        type=type,
        content_type=content_type,
        headers=dict(headers or {}),
        delivery_mode=pika.DeliveryMode.Persistent,
        timestamp=int(time.time()),
        app_id="facet",
    )
    _deliver(queue, body, properties)


def dead_letter(
    *,
    queue: str,
    body: bytes,
    code: str,
    error: str,
    message_id: str | None = None,
    correlation_id: str | None = None,
    type: str | None = None,
    content_type: str | None = None,
    timestamp: datetime | None = None,
    headers: Mapping[str, Any] | None = None,
    traceparent: str | None = None,
) -> None:
    """Put a message that can never succeed into `<queue>.dead` as it came, with the reason in its headers.

    `traceparent` names the failed invocation; without it the message keeps its own. Raises as `publish` does.
    """
    reason = {"x-error-code": code, "x-error": _encodable(error)[:_MAX_ERROR], "traceparent": traceparent}
    properties = pika.BasicProperties(
        message_id=_short(message_id),
        correlation_id=_short(correlation_id),
        type=_short(type),
        content_type=_short(content_type),
        headers=_harmless(headers or {}) | {name: value for name, value in reason.items() if value is not None},
        delivery_mode=pika.DeliveryMode.Persistent,
        timestamp=max(0, int((timestamp or datetime.now(UTC)).timestamp())),
    )
    _deliver(f"{queue}.dead", body, properties)


def depth(queue: str) -> int:
    """How many messages wait in a queue. Raises Unroutable when there is no such queue."""
    try:
        answer = with_channel(lambda channel: channel.queue_declare(queue, passive=True))
    except ChannelClosedByBroker as error:
        if error.reply_code == _NOT_FOUND:
            raise Unroutable(queue) from error
        raise
    return int(answer.method.message_count)


def ping() -> None:
    """Raise Unavailable unless the broker answers."""
    with_channel(lambda channel: channel.basic_qos(prefetch_count=1))


def declare_queues() -> list[str]:
    """Declare the queues of tasks and results and their dead letters; harmless when they are there already.

    Raises Misconfigured when a queue exists in another form.
    """
    at = settings()
    queues = [at.rabbitmq_tasks_queue, at.rabbitmq_tasks_results_queue]
    quorum = at.rabbitmq_queue_type == "quorum"
    for queue in queues:
        dead_letters = {f"x-{name}": value for name, value in _dead_letters_to(f"{queue}.dead").items()}
        guard = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT, **dead_letters}
        _declare(queue, guard if quorum else {})
    for queue in queues:
        _declare(f"{queue}.dead", {"x-queue-type": "quorum", "x-delivery-limit": NEVER} if quorum else {})
    return [*queues, *(f"{queue}.dead" for queue in queues)]


def set_policies() -> list[str] | None:
    """Set what queue arguments do not: safe dead-lettering of quorum queues, all dead-lettering of classic ones.

    None without RABBITMQ_MANAGEMENT_URL. Raises Unavailable or Misconfigured.
    """
    at = settings()
    if at.rabbitmq_management_url is None:
        return None
    names = []
    for queue in (at.rabbitmq_tasks_queue, at.rabbitmq_tasks_results_queue):
        if at.rabbitmq_queue_type == "quorum":
            definition = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
        else:
            definition = _dead_letters_to(f"{queue}.dead")
        policy = {"pattern": f"^{re.escape(queue)}$", "apply-to": "queues", "priority": 10, "definition": definition}
        names.append(f"facet-{queue}")
        _put(f"policies/{quote(at.rabbitmq_vhost, safe='')}/{quote(names[-1], safe='')}", policy)
    return names


def _dead_letters_to(queue: str) -> dict[str, str]:
    return {"dead-letter-exchange": "", "dead-letter-routing-key": queue}  # the default exchange routes by queue name


def _deliver(queue: str, body: bytes, properties: pika.BasicProperties) -> None:
    try:
        with_channel(lambda channel: channel.basic_publish("", queue, body, properties, mandatory=True))
    except UnroutableError as error:
        raise Unroutable(queue) from error
    except NackError as error:
        raise Unavailable(f'The queue "{queue}" takes no more messages.') from error


# Dead letters come from anybody: what cannot be published again as it was must not keep them in their queue for ever.
def _harmless(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers without those that would send a copy elsewhere; none at all if they cannot be encoded in one frame."""
    kept = {name: value for name, value in headers.items() if name not in _ROUTING_HEADERS}
    try:
        fits = encode_table([], kept) <= _MAX_HEADERS
    except (AMQPError, ValueError, struct.error):
        fits = False
    return kept if fits else {"x-headers-dropped": len(kept)}


def _short(text: str | None) -> str | None:
    """A property cut to the 255 bytes of AMQP's short strings."""
    return None if text is None else text.encode(errors="replace")[:255].decode(errors="ignore")


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _declare(queue: str, arguments: Mapping[str, Any]) -> None:
    try:
        with_channel(lambda channel: channel.queue_declare(queue, durable=True, arguments=dict(arguments)))
    except ChannelClosedByBroker as error:
        if error.reply_code != _PRECONDITION_FAILED:
            raise
        raise Misconfigured(
            f'The queue "{queue}" exists in another form ({error.reply_text}). Either let its messages be worked off, '
            f"delete it and run `facet migrate` again, or set RABBITMQ_QUEUE_TYPE to what it is."
        ) from error


def _put(path: str, body: Mapping[str, Any]) -> None:
    at = settings()
    user = b64encode(f"{at.rabbitmq_user}:{at.rabbitmq_password.get_secret_value()}".encode()).decode()
    request = Request(  # noqa: S310  # the address is the operator's setting
        f"{at.rabbitmq_management_url}/api/{path}",
        method="PUT",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Basic {user}", "Content-Type": "application/json"},
    )
    try:
        urlopen(request, timeout=TIMEOUT).close()  # noqa: S310  # as above
    except HTTPError as error:
        with error:
            reason = error.read(1000).decode(errors="replace")
        remedy = f" Let it: rabbitmqctl set_user_tags {at.rabbitmq_user} policymaker" if error.code in _DENIED else ""
        raise Misconfigured(
            f'RabbitMQ refuses a policy to the user "{at.rabbitmq_user}": {error.code} {reason}.{remedy}'
        ) from error
    except (URLError, OSError) as error:
        raise Unavailable(f"RabbitMQ's management API at {at.rabbitmq_management_url} cannot be reached.") from error
