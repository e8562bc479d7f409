"""What a schedule sends: EventBridge's event, or the schedule's own input."""

import uuid
from datetime import UTC, datetime
from typing import Any

from local.events.http import ACCOUNT


def schedule_event(
    name: str, time: datetime, *, source: str = "aws.events", event_id: str | None = None
) -> dict[str, Any]:
    """A `Scheduled Event`. Functions take `time` for now, so that a replay is the same run.

    EventBridge Scheduler (`aws.scheduler`) writes its detail as a text.
    """
    scheduler = source == "aws.scheduler"
    arn = f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/{name}"
    return {
        "version": "0",
        "id": event_id or str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": source,
        "account": ACCOUNT,
        "time": time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": [arn if scheduler else f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{name}"],
        "detail": "{}" if scheduler else {},
    }
