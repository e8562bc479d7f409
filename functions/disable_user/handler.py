"""Invoked directly (`facet user disable`, `facet user enable`): shut an account, or open it again."""

from pydantic import BaseModel, ConfigDict

from avatars import accounts, users
from facet import db
from facet.function import Function

app = Function("disable_user")


class DisableRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: users.EmailToFind
    disabled: bool = True


@app.internal(body=DisableRequest, returns=accounts.Account)
def disable_user(body: DisableRequest) -> accounts.Account:
    with db.transaction() as conn:
        row = accounts.set_disabled(conn, accounts.lock(conn, body.email), disabled=body.disabled)
    return accounts.Account.model_validate(row)
