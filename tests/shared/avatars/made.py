"""Rows that tests start from."""

import hashlib
import uuid
from types import SimpleNamespace

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import media, outbox, tasks, users
from avatars.tasks import NewTask

IMAGES, MODELS = "input-images", "3d-files"


def user(conn: Connection[DictRow], email: str = "ada@example.org") -> int:
    return users.register(conn, name="Ada", email=email, password_hash=hashlib.sha256(email.encode()).hexdigest())


def task(conn: Connection[DictRow], user_id: int) -> tuple[NewTask, uuid.UUID]:
    """A task in INITIAL and its entry in the outbox."""
    key = f"user-{user_id}/{uuid.uuid4()}.jpg"
    photo = media.claim(conn, kind="photo", bucket=IMAGES, object_key=key, content_type="image/jpeg", data=b"photo")
    owner = SimpleNamespace(user_id=user_id, api_key_id=None)
    made = tasks.create(conn, owner=owner, photo_id=photo, output_bucket=MODELS, traceparent=None)
    return made, outbox.add(conn, task_id=made.id)
