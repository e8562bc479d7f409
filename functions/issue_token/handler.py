"""Invoked directly (`facet token`): a session for a user, without the password."""

from pydantic import BaseModel, ConfigDict

from avatars import tokens, users
from facet import auth, db
from facet.function import Function
from facet.settings import settings

app = Function("issue_token")


class TokenRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: users.EmailToFind


@app.internal(body=TokenRequest, returns=tokens.TokenPair)
def issue_token(body: TokenRequest) -> tokens.TokenPair:
    with db.transaction() as conn:
        user_id = int(users.lock(conn, users.id_of(conn, body.email))["id"])
        refresh_token = tokens.open_family(conn, user_id=user_id, terms=settings())
    return tokens.TokenPair(access_token=auth.issue_access_token(user_id), refresh_token=refresh_token)
