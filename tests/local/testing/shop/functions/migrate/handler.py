"""Makes the queue."""

import os
from typing import Any

import pika  # type: ignore[import-untyped] # pika ships no py.typed


def app(event: dict[str, Any], context: Any) -> Any:
    account = pika.PlainCredentials(os.environ["USER_NAME"], os.environ["PASSWORD"])
    place = os.environ["HOST"], int(os.environ["PORT"]), os.environ["VHOST"]
    with pika.BlockingConnection(pika.ConnectionParameters(*place, account)) as connection:
        connection.channel().queue_declare("orders", durable=True)
    return {"queues": ["orders"], "vhost": os.environ["VHOST"]}
