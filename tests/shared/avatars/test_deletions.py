"""Objects noted for deletion: each goes once, when it is due, and not if it is in use."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection
from psycopg.rows import DictRow

from avatars import deletions, media
from avatars.media import Address
from tests.shared.avatars.conftest import Together

MODEL = Address("3d-files", "a.glb")


@dataclass
class Storage:
    """Says what it was asked to delete."""

    deleted: list[tuple[str, str]] = field(default_factory=list)

    def delete(self, bucket: str, key: str) -> None:
        self.deleted.append((bucket, key))


def add(conn: Connection[DictRow], **options: Any) -> None:
    deletions.add(conn, bucket=MODEL.bucket, object_key=MODEL.object_key, **options)


def rows(conn: Connection[DictRow]) -> list[DictRow]:
    return conn.execute("SELECT *, due_at - now() AS due_in FROM object_deletions").fetchall()


def test_an_object_is_deleted_and_forgotten(conn: Connection[DictRow]) -> None:
    storage = Storage()
    add(conn)
    assert deletions.due(conn, limit=9) == [MODEL]
    deletions.carry_out(conn, MODEL, objects=storage)
    deletions.carry_out(conn, MODEL, objects=storage)
    assert storage.deleted == [MODEL]
    assert rows(conn) == []


def test_what_may_come_back_is_deleted_a_second_time(conn: Connection[DictRow]) -> None:
    storage = Storage()
    add(conn)
    conn.execute("UPDATE object_deletions SET again_at = now() + interval '1 hour'")
    deletions.carry_out(conn, MODEL, objects=storage)
    [row] = rows(conn)
    assert timedelta(minutes=59) < row["due_in"] <= timedelta(hours=1)
    assert row["again_at"] is None
    conn.execute("UPDATE object_deletions SET due_at = now()")
    deletions.carry_out(conn, MODEL, objects=storage)
    assert storage.deleted == [MODEL, MODEL]
    assert rows(conn) == []


def test_nothing_is_deleted_before_it_is_due(conn: Connection[DictRow]) -> None:
    storage = Storage()
    add(conn, due_in=timedelta(minutes=1))
    assert deletions.due(conn, limit=9) == []
    deletions.carry_out(conn, MODEL, objects=storage)
    assert storage.deleted == []
    assert len(rows(conn)) == 1


@pytest.mark.parametrize("hours", [(1, 5), (5, 1)])
def test_noted_twice_the_earlier_time_counts(conn: Connection[DictRow], hours: tuple[int, int]) -> None:
    for each in hours:
        add(conn, due_in=timedelta(hours=each))
    [row] = rows(conn)
    assert timedelta(minutes=59) < row["due_in"] <= timedelta(hours=1)


def test_an_object_that_a_row_describes_is_kept_and_forgotten(conn: Connection[DictRow]) -> None:
    storage = Storage()
    media.claim(conn, kind="model", **MODEL._asdict(), content_type="model/gltf-binary", data=b"glTF")
    add(conn)
    deletions.carry_out(conn, MODEL, objects=storage)
    assert storage.deleted == []
    assert rows(conn) == []


def test_what_failed_is_tried_later_and_later_but_at_least_every_hour(conn: Connection[DictRow]) -> None:
    add(conn)
    pauses = []
    for _ in range(30):
        with conn.transaction():  # one now() for both statements
            deletions.record_failure(conn, MODEL, "x" * 9000)
            [row] = rows(conn)
        pauses.append(row["due_in"].total_seconds())
    assert pauses[:4] == [30, 60, 120, 240]
    assert set(pauses[8:]) == {3600}
    assert (row["failures"], len(row["last_error"])) == (30, 500)


def test_of_several_at_once_one_deletes_and_the_others_pass_on(
    conn: Connection[DictRow], together: Together[None]
) -> None:
    storage = Storage()
    add(conn)
    assert together(lambda own: deletions.carry_out(own, MODEL, objects=storage), 5) == [None] * 5
    assert storage.deleted == [MODEL]
    assert rows(conn) == []


def test_a_crash_after_the_deletion_deletes_again(conn: Connection[DictRow]) -> None:
    storage = Storage()
    add(conn)
    with conn.transaction(force_rollback=True):
        deletions.carry_out(conn, MODEL, objects=storage)
    deletions.carry_out(conn, MODEL, objects=storage)
    assert storage.deleted == [MODEL, MODEL]


def test_what_is_put_off_goes_later_than_it_was_noted(conn: Connection[DictRow]) -> None:
    add(conn)
    deletions.put_off(conn, bucket=MODEL.bucket, object_key=MODEL.object_key, due_in=timedelta(hours=1))
    assert deletions.due(conn, limit=9) == []
    [row] = rows(conn)
    assert timedelta(minutes=59) < row["due_in"] <= timedelta(hours=1)
