"""The outbox when several send from it at once."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import outbox
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together


@dataclass
class SlowBroker:
    """Takes a while to confirm, so that whoever comes meanwhile finds the entry taken."""

    published: list[str] = field(default_factory=list)

    def publish(
        self,
        *,
        queue: str,
        body: bytes,
        message_id: str,
        correlation_id: str | None = None,
        type: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        self.published.append(message_id)
        time.sleep(0.2)


class Bucket:
    def list_keys(self, bucket: str) -> list[str]:
        return []

    def presign_get(self, bucket: str, key: str, *, expires_in: int, audience: str = "client") -> str:
        return f"https://storage.example/{bucket}/{key}"


@dataclass(frozen=True)
class Addresses:
    rabbitmq_tasks_queue: str = "generation_tasks"
    minio_deca_emotions_bucket: str = "deca-emotions"


def test_one_of_several_sends_and_the_others_do_not_wait(conn: Connection[DictRow], together: Together[bool]) -> None:
    _, entry = made.task(conn, made.user(conn))
    broker = SlowBroker()
    outcomes = together(lambda own: outbox.send(own, entry, to=Addresses(), broker=broker, objects=Bucket()), 5)
    assert sorted(map(str, outcomes)) == ["False"] * 4 + ["True"]
    assert broker.published == [str(entry)]


def test_what_was_sent_or_never_was_is_not_sent(conn: Connection[DictRow]) -> None:
    _, entry = made.task(conn, made.user(conn))
    broker = SlowBroker()
    for _ in range(2):
        outbox.send(conn, entry, to=Addresses(), broker=broker, objects=Bucket())
    assert not outbox.send(conn, uuid.uuid4(), to=Addresses(), broker=broker, objects=Bucket())
    assert broker.published == [str(entry)]


def test_what_failed_before_waits_behind_what_did_not(conn: Connection[DictRow]) -> None:
    user_id = made.user(conn)
    first, second, third = (made.task(conn, user_id)[1] for _ in range(3))
    outbox.record_failure(conn, first, "x" * 9000)
    assert outbox.waiting(conn, limit=9) == [second, third, first]
    assert outbox.waiting(conn, limit=1) == [second]
