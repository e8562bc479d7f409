"""Erasing a user while others still make, read and report things of theirs."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import SecretStr

from avatars import api_keys, erasure, idempotency, media, outbox, retries, states, submissions, tasks, tokens, uploads
from avatars.idempotency import Ticket
from avatars.owners import Owner
from avatars.refusals import UserGone
from tests.shared.avatars import made
from tests.shared.avatars.conftest import Together

TERMS = SimpleNamespace(refresh_secret_key=SecretStr("k" * 32), refresh_token_expire_minutes=60)
AT = SimpleNamespace(minio_images_bucket=made.IMAGES, minio_3d_files_bucket=made.MODELS, limit_tasks_in_flight=1000)


def web(user_id: int) -> Owner:
    return SimpleNamespace(user_id=user_id, api_key_id=None)


def task_of(conn: Connection[DictRow], owner: Owner, photo_id: int | None = None) -> tasks.NewTask:
    if photo_id is None:
        photo_id = media.claim(
            conn, kind="photo", bucket=made.IMAGES, object_key=str(uuid.uuid4()), content_type="image/jpeg", data=b"x"
        )
    task = tasks.create(conn, owner=owner, photo_id=photo_id, output_bucket=made.MODELS, traceparent=None)
    outbox.add(conn, task_id=task.id)
    return task


def count(conn: Connection[DictRow], query: LiteralString) -> int:
    row = conn.execute(query).fetchone()
    assert row is not None
    return int(row["count"])


def test_tasks_of_the_users_keys_go_too_and_those_of_others_stay(conn: Connection[DictRow]) -> None:
    ada, eve = made.user(conn), made.user(conn, "eve@example.org")
    for user_id in (ada, eve):
        key = api_keys.create(conn, name="kiosk", user_id=user_id, lifetime=None)
        task_of(conn, SimpleNamespace(user_id=user_id, api_key_id=key.id))
        task_of(conn, web(user_id))
    with conn.transaction():
        erasure.erase(conn, web(ada))
    assert {row["user_id"] for row in conn.execute("SELECT user_id FROM tasks").fetchall()} == {eve}
    assert count(conn, "SELECT count(*) FROM api_keys") == 1
    assert count(conn, "SELECT count(*) FROM media_objects") == 2


def test_a_photo_of_several_tasks_goes_once(conn: Connection[DictRow]) -> None:
    ada = made.user(conn)
    task_of(conn, web(ada))
    row = conn.execute("SELECT photo_id FROM tasks").fetchone()
    assert row is not None
    task_of(conn, web(ada), photo_id=row["photo_id"])
    with conn.transaction():
        erasure.erase(conn, web(ada))
    assert count(conn, "SELECT count(*) FROM media_objects") == 0
    assert count(conn, "SELECT count(*) FROM object_deletions WHERE bucket = 'input-images'") == 1


def test_who_is_gone_cannot_be_erased_again(conn: Connection[DictRow]) -> None:
    ada = made.user(conn)
    erasure.erase(conn, web(ada))
    with pytest.raises(UserGone):
        erasure.erase(conn, web(ada))


def test_of_an_erasure_and_creates_at_once_all_end_and_nothing_is_left(
    conn: Connection[DictRow], together: Together[object]
) -> None:
    for round_ in range(5):
        ada = made.user(conn, f"{round_}@example.org")
        key = api_keys.create(conn, name="kiosk", user_id=ada, lifetime=None)
        by_key = SimpleNamespace(user_id=ada, api_key_id=key.id)
        turns = iter(range(10))

        def act(
            own: Connection[DictRow], turns: Callable[[], int] = turns.__next__, ada: int = ada, by_key: Owner = by_key,
            key: str = key.key,
        ) -> object:  # fmt: skip
            turn = turns()
            if turn == 5:
                erasure.erase(own, web(ada))
                return None
            if turn % 3 == 0:
                return task_of(own, by_key)
            if turn == 4:
                return api_keys.verify(own, key) or "refused"
            if turn % 3 == 1:
                return task_of(own, web(ada))
            return uploads.create(own, owner=by_key, bucket=made.IMAGES, content_type="image/jpeg", size=1, sha256=None)

        outcomes = together(act, 10)
        wrong = [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, UserGone)]
        assert wrong == []
        assert outcomes.count(None) == 1  # the erasure itself
        assert count(conn, "SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM users) AS count") == 0


def test_an_erasure_does_not_get_stuck_with_announcements_and_reports(
    conn: Connection[DictRow], together: Together[object]
) -> None:
    ada = made.user(conn)
    started = [made.task(conn, ada) for _ in range(6)]
    entries = iter(started)
    broker = SimpleNamespace(publish=lambda **message: None)
    objects = SimpleNamespace(list_keys=lambda bucket: [], presign_get=lambda *address, **terms: "http://objects/x")
    to = SimpleNamespace(rabbitmq_tasks_queue="tasks", minio_deca_emotions_bucket="emotions")
    turns = iter(range(7))

    def act(own: Connection[DictRow]) -> object:
        turn = next(turns)
        if turn == 3:
            erasure.erase(own, web(ada))
            return None
        task, entry = next(entries)
        if turn % 2:
            outbox.send(own, entry, to=to, broker=broker, objects=objects)
        elif (locked := states.lock(own, task.request_uuid)) is not None:
            states.advance(own, locked, progress=10, stage=None)
        return None

    assert together(act, 7) == [None] * 7
    assert count(conn, "SELECT count(*) FROM tasks") == 0


def test_a_refresh_and_an_erasure_at_once_leave_no_session(
    conn: Connection[DictRow], together: Together[object]
) -> None:
    ada = made.user(conn)
    token = tokens.open_family(conn, user_id=ada, terms=TERMS)
    turns = iter(range(6))

    def act(own: Connection[DictRow]) -> object:
        if next(turns) == 3:
            erasure.erase(own, web(ada))
            return None
        return tokens.rotate(own, token, terms=TERMS)

    assert not [one for one in together(act, 6) if isinstance(one, Exception)]
    assert count(conn, "SELECT count(*) FROM refresh_tokens") == 0


def ended(conn: Connection[DictRow], owner: Owner) -> DictRow:
    """A task that can be tried again."""
    task = task_of(conn, owner)
    conn.execute(
        "UPDATE tasks SET status = 'CANCELLED', finished_at = now(), revision = revision + 1 WHERE id = %s", (task.id,)
    )
    return retries.find(conn, owner=owner, request_uuid=str(task.request_uuid))


def retry(conn: Connection[DictRow], owner: Owner, old: DictRow) -> None:
    """As the handler does it, whose first transaction has found the old task."""
    begun = submissions.begin(
        conn, owner=owner, ticket=Ticket(None, None), options={}, metadata={}, at=AT, retry_of=old["request_uuid"]
    )
    photo_id = retries.hold(conn, owner=owner, task=old)
    submissions.make(conn, begun, photo_id=photo_id, traceparent=None)


def wait_for_an_erasure_that_waits(conn: Connection[DictRow]) -> None:
    query = "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"
    while conn.execute(query).fetchone() is None:
        pass


def test_an_erasure_that_comes_in_the_middle_of_a_retry_waits_for_its_end(
    conn: Connection[DictRow], connect: Callable[[], Connection[DictRow]]
) -> None:
    ada = web(made.user(conn))
    old, eraser = ended(conn, ada), connect()

    def erase() -> None:
        with eraser.transaction():
            erasure.erase(eraser, ada)

    with ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            photo_id = retries.hold(conn, owner=ada, task=old)
            erasing = pool.submit(erase)
            wait_for_an_erasure_that_waits(connect())
            tasks.create(conn, owner=ada, photo_id=photo_id, output_bucket=made.MODELS, traceparent=None)
        erasing.result(10)
    assert count(conn, "SELECT count(*) FROM tasks") == 0


def test_of_an_erasure_and_retries_at_once_all_end_and_nothing_is_left(
    conn: Connection[DictRow], together: Together[object]
) -> None:
    for round_ in range(5):
        ada = web(made.user(conn, f"{round_}@example.org"))
        old, turns = ended(conn, ada), iter(range(10))

        def act(
            own: Connection[DictRow], turns: Callable[[], int] = turns.__next__, ada: Owner = ada, old: DictRow = old
        ) -> object:
            turn = turns()
            if turn == 5:
                erasure.erase(own, ada)
            elif turn % 2:
                idempotency.begin(own, owner=ada, operation="o", key=str(turn), fingerprint=b"f" * 32)
            else:
                retry(own, ada, old)
            return None

        outcomes = together(act, 10)
        wrong = [one for one in outcomes if not isinstance(one, UserGone | tasks.TaskNotFound | None)]
        assert wrong == []
        assert count(conn, "SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM users) AS count") == 0
