"""Knative's trigger, as a RabbitmqSource has it: each message is a CloudEvent of its own."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local.events import RmqMessage, cloud_event, message_event


def event_of(body: bytes, **properties: Any) -> dict[str, Any]:
    return message_event("results", "consume_results.Results", RmqMessage(body, properties))


def test_a_cloud_event_says_only_what_is_known() -> None:
    assert cloud_event(source="/here", type="made", id="1", data=b"\xff") == {
        "specversion": "1.0",
        "id": "1",
        "source": "/here",
        "type": "made",
        "data_base64": "/w==",
    }
    event = cloud_event(
        source="/here",
        type="made",
        id="1",
        subject="it",
        time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        data=b'{"a": 1}',
        content_type="application/json; charset=utf-8",
    )
    assert (event["subject"], event["time"], event["data"]) == ("it", "2026-01-02T03:04:05Z", {"a": 1})
    assert event["datacontenttype"] == "application/json; charset=utf-8"


def test_a_message_becomes_the_event_of_a_rabbitmq_source() -> None:
    headers = {"traceparent": "00-x", "x-death": [], "mine": 1}
    assert event_of(b'{"a": 1}', contentType="application/json", messageId="m", timestamp=1, headers=headers) == {
        "specversion": "1.0",
        "id": "m",
        "source": "/apis/v1/namespaces/default/rabbitmqsources/consume-results-results#results",
        "type": "dev.knative.rabbitmq.event",
        "subject": "m",
        "time": "1970-01-01T00:00:01Z",
        "datacontenttype": "application/json",
        "traceparent": "00-x",
        "data": {"a": 1},
    }


def test_a_message_without_an_id_gets_one() -> None:
    first, second = event_of(b""), event_of(b"")
    assert first["id"] == first["subject"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize("body", [b"{", b"NaN", b"\xff", b"[" * 100_000], ids=["cut", "no number", "no text", "deep"])
def test_what_only_calls_itself_json_is_base64(body: bytes) -> None:
    event = event_of(body, contentType="application/json", timestamp=2**70)
    assert (base64.b64decode(event["data_base64"]), "data" in event, "time" in event) == (body, False, False)


CLOUD_EVENT = {"specversion": "1.0", "id": "7", "source": "/there", "type": "made", "data": {"b": 2}}


def test_a_message_that_is_a_cloud_event_passes_through() -> None:
    assert event_of(json.dumps(CLOUD_EVENT).encode(), contentType="application/cloudevents+json") == CLOUD_EVENT


@pytest.mark.parametrize("prefix", ["ce-", ""])
def test_a_cloud_event_in_headers_passes_through(prefix: str) -> None:
    attributes = {f"{prefix}{name}": value for name, value in CLOUD_EVENT.items() if name != "data"}
    headers = {**attributes, "content-type": "application/json", "x-attempt": 1}
    assert event_of(b'{"b": 2}', headers=headers) == {**CLOUD_EVENT, "datacontenttype": "application/json"}
