"""CloudEvents 1.0 in structured mode, and those that Knative's RabbitmqSource makes of messages."""

import base64
import contextlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from local.events.response import no_constant
from local.events.rmq import RmqMessage, moment, text

NAMESPACE = "default"
_HEADER_ATTRIBUTES = {"content-type": "datacontenttype"}
_STRUCTURED = "application/cloudevents+json"


def cloud_event(
    *,
    source: str,
    type: str,
    id: str,
    subject: str | None = None,
    time: datetime | None = None,
    data: bytes,
    content_type: str | None = None,
) -> dict[str, Any]:
    """JSON data stands in the event as JSON, everything else as base64."""
    event = {"specversion": "1.0", "id": id, "source": source, "type": type}
    at = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None
    more = {"subject": subject, "time": at, "datacontenttype": content_type}
    return event | {name: value for name, value in more.items() if value is not None} | _data(data, content_type)


def message_event(queue: str, mapping: str, message: RmqMessage) -> dict[str, Any]:
    """One message as a RabbitmqSource sends it; a CloudEvent already, in either mode of AMQP, passes through."""
    properties = message.properties
    found = properties.get("headers")
    headers = {str(name).lower(): value for name, value in found.items()} if isinstance(found, Mapping) else {}
    content_type = text(properties.get("contentType"))
    if content_type and content_type.startswith(_STRUCTURED):
        event = _data(message.body, "application/json").get("data")
        if isinstance(event, dict):
            return event
    name = mapping.lower().replace(".", "-").replace("_", "-")  # what Kubernetes takes for one
    source = f"/apis/v1/namespaces/{NAMESPACE}/rabbitmqsources/{name}#{queue}"
    attributes = {name.removeprefix("ce-"): str(value) for name, value in headers.items() if name[:2] != "x-"}
    if "specversion" in attributes:
        named = {_HEADER_ATTRIBUTES.get(name, name): value for name, value in attributes.items()}
        return {"source": source} | named | _data(message.body, named.get("datacontenttype", content_type))
    message_id = text(properties.get("messageId")) or str(uuid.uuid4())
    sent = properties.get("timestamp")
    event = cloud_event(
        source=source,
        type="dev.knative.rabbitmq.event",
        id=message_id,
        subject=message_id,
        time=None if sent is None else moment(sent),
        data=message.body,
        content_type=content_type,
    )
    trace = {name: attributes[name] for name in ("traceparent", "tracestate") if name in attributes}
    return event | trace


def _data(data: bytes, content_type: str | None) -> dict[str, Any]:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        with contextlib.suppress(ValueError, RecursionError):
            return {"data": json.loads(data, parse_constant=no_constant)}
    return {"data_base64": base64.b64encode(data).decode()}
