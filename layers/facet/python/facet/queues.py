"""Which queues there are in RabbitMQ, and what happens to a message that nobody can use."""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from pika.exceptions import ChannelClosedByBroker  # type: ignore[import-untyped]  # pika ships no py.typed

from facet.amqp import TIMEOUT, Unavailable, with_channel
from facet.settings import settings

DELIVERY_LIMIT = 20  # the last guard against a message that kills whoever takes it
NEVER = 1_000_000  # deliveries; from RabbitMQ 4 on a queue without a limit drops a message at the 20th

_PRECONDITION_FAILED = 406
_DENIED = (401, 403)


class Misconfigured(Exception):
    """The broker cannot be brought into the declared state; the text says what to do."""


def declare() -> list[str]:
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
