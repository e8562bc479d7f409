"""Invoked directly (`facet user test-mode`): whether what a user makes from now on reaches an agent."""

from pydantic import BaseModel, ConfigDict

from avatars import accounts, users
from facet import db
from facet.function import Function

app = Function("set_test_mode")


class Mode(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: users.EmailToFind
    on: bool


@app.internal(body=Mode, returns=accounts.Account)
def set_test_mode(body: Mode) -> accounts.Account:
    with db.transaction() as conn:
        row = accounts.set_test_mode(conn, accounts.lock(conn, body.email), on=body.on)
    return accounts.Account.model_validate(row)
