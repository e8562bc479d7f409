"""Invoked directly (`facet apikey`): make an API key, for a user or for an outside system of its own."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from avatars import api_keys, users
from facet import db
from facet.function import Function

app = Function("create_api_key")


class KeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    user_email: users.EmailToFind | None = None
    expires_in_days: int | None = Field(default=None, ge=1, le=3650)


class NewKey(BaseModel):
    """`key` is shown here once and kept nowhere."""

    id: int
    key: str
    prefix: str


@app.internal(body=KeyRequest, returns=NewKey)
def create_api_key(body: KeyRequest) -> NewKey:
    lifetime = timedelta(days=body.expires_in_days) if body.expires_in_days else None
    with db.transaction() as conn:
        user_id = users.id_of(conn, body.user_email) if body.user_email else None
        created = api_keys.create(conn, name=body.name, user_id=user_id, lifetime=lifetime)
    return NewKey(id=created.id, key=created.key, prefix=created.prefix)
