"""Events have exactly the shape of the cloud's; the files in `events/` were checked against AWS's documentation."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from local.events import HttpRequest, RmqMessage, event_for, rmq_event, schedule_event
from tests.local.emulator.golden import event_of

EVENTS = sorted((Path(__file__).parent / "events").glob("*.json"))
# The keys of the examples in the developer guides; `only_with` are those that need what is not emulated.
KEYS = json.loads((Path(__file__).parent / "documented_keys.json").read_text())
# The example in the Lambda Developer Guide, "Using Lambda with Amazon MQ".
DOCUMENTED: dict[str, Any] = {
    "eventSource": "aws:rmq",
    "eventSourceArn": "arn:aws:mq:us-west-2:111122223333:broker:pizzaBroker:b-9bcfa592-423a-4942-879d-eb284b418fc8",
    "rmqMessagesByQueue": {
        "pizzaQueue::/": [
            {
                "basicProperties": {
                    "contentType": "text/plain",
                    "contentEncoding": None,
                    "headers": {
                        "header1": {"bytes": [118, 97, 108, 117, 101, 49]},
                        "header2": {"bytes": [118, 97, 108, 117, 101, 50]},
                        "numberInHeader": 10,
                    },
                    "deliveryMode": 1,
                    "priority": 34,
                    "correlationId": None,
                    "replyTo": None,
                    "expiration": "60000",
                    "messageId": None,
                    "timestamp": "Jan 1, 1970, 12:33:41 AM",
                    "type": None,
                    "userId": "AIDACKCEVSQ6C2EXAMPLE",
                    "appId": None,
                    "clusterId": None,
                    "bodySize": 43,
                },
                "redelivered": False,
                "data": "eyJ0aW1lb3V0IjowLCJkYXRhIjoiQ1pybWYwR3c4T3Y0YnFMUXhENEUifQ==",
            }
        ]
    },
}


@pytest.mark.parametrize("file", EVENTS, ids=[file.stem for file in EVENTS])
def test_a_request_becomes_its_golden_event(file: Path) -> None:
    case = json.loads(file.read_text())
    assert json.dumps(event_of(case)) == json.dumps(case["event"])


def paths(event: Any, within: tuple[str, ...] = ()) -> set[str]:
    """The keys of an event and of what is in it, save where the keys are a client's."""
    found = set()
    for key, value in event.items():
        place = (*within, key)
        found.add(".".join(place))
        if isinstance(value, dict) and key in ("requestContext", "http", "identity", "elb"):
            found |= paths(value, place)
    return found


@pytest.mark.parametrize("name", ["furl", "http", "rest", "alb", "alb-multi", "schedule"])
def test_an_event_has_the_keys_of_the_documented_one(name: str) -> None:
    headers = (("host", "localhost"), ("user-agent", "x"), ("cookie", "a=1"))
    request = HttpRequest("POST", "/my/path", "a=1", headers, b"{}")
    if name == "schedule":
        event = schedule_event("sweep", datetime.now(UTC))
    else:
        event = event_for(name, request, route="ANY /my/{proxy+}", parameters={"proxy": "path"})  # type: ignore[arg-type]  # all others are shapes
    documented = KEYS[name]
    assert paths(event) == set(documented["keys"]) - set(documented["only_with"])


def test_the_documented_queue_event_comes_out() -> None:
    properties = {
        "contentType": "text/plain",
        "headers": {"header1": "value1", "header2": b"value2", "numberInHeader": 10},
        "deliveryMode": 1,
        "priority": 34,
        "expiration": "60000",
        "timestamp": 33 * 60 + 41,
        "userId": "AIDACKCEVSQ6C2EXAMPLE",
    }
    body = base64.b64decode(DOCUMENTED["rmqMessagesByQueue"]["pizzaQueue::/"][0]["data"])
    message = RmqMessage(body, properties)
    assert rmq_event("pizzaQueue", "/", [message], broker_arn=DOCUMENTED["eventSourceArn"]) == DOCUMENTED


def test_a_queue_in_a_named_virtual_host_has_it_in_its_key() -> None:
    event = rmq_event("results", "facet", [RmqMessage(b"")], broker_arn="arn")
    assert list(event["rmqMessagesByQueue"]) == ["results::facet"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, True),
        (None, None),
        (2.5, 2.5),
        (float("nan"), None),
        (Decimal("1.5"), 1.5),
        (datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC), "Nov 22, 2026, 12:00:01 PM"),
        ([{"count": 1, "queue": "q"}], [{"count": 1, "queue": {"bytes": [113]}}]),
    ],
)
def test_headers_of_every_type_can_be_shown(value: object, shown: object) -> None:
    event = rmq_event("q", "/", [RmqMessage(b"", {"headers": {"x": value}})], broker_arn="arn")
    assert event["rmqMessagesByQueue"]["q::/"][0]["basicProperties"]["headers"] == {"x": shown}
    json.dumps(event, allow_nan=False)


@pytest.mark.parametrize("timestamp", [2**63 - 1, -(2**62)])
def test_a_timestamp_that_is_no_date_is_null(timestamp: int) -> None:
    event = rmq_event("q", "/", [RmqMessage(b"", {"timestamp": timestamp})], broker_arn="arn")
    assert event["rmqMessagesByQueue"]["q::/"][0]["basicProperties"]["timestamp"] is None


def test_a_rule_and_a_scheduler_send_their_own_events() -> None:
    time = datetime(2026, 12, 31, 23, 59, 0, tzinfo=UTC)
    rule = schedule_event("sweep", time, event_id="1")
    assert rule == {
        "version": "0",
        "id": "1",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": "2026-12-31T23:59:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:000000000000:rule/sweep"],
        "detail": {},
    }
    scheduler = schedule_event("sweep", time, source="aws.scheduler")
    assert (scheduler["source"], scheduler["detail"]) == ("aws.scheduler", "{}")
    assert scheduler["resources"] == ["arn:aws:scheduler:us-east-1:000000000000:schedule/default/sweep"]
