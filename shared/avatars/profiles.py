"""What a user's profile shows."""

from typing import Protocol

from psycopg.rows import DictRow
from pydantic import BaseModel, Field

from avatars import media


class Presigner(Protocol):
    def presign_get(self, bucket: str, key: str, *, expires_in: int) -> str: ...


class Profile(BaseModel):
    image_url: str = Field(description="Presigned URL of the first task's photo, one hour; empty if there is none.")
    name: str = Field(description="How the person wants to be called.", examples=["Ada Lovelace"])
    email: str = Field(description="What the person signs in with.", examples=["ada@example.org"])


def profile_of(row: DictRow, *, objects: Presigner) -> Profile:
    """The document of a row of `users.profile`."""
    image_url = ""
    if row["object_key"] is not None:
        image_url = objects.presign_get(row["bucket"], row["object_key"], expires_in=media.CLIENT_URL_SECONDS)
    return Profile(image_url=image_url, name=row["name"], email=row["email"])
