"""GET and POST /users/refresh-token: exchange a refresh token for the next pair."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from avatars import tokens
from facet import auth, db
from facet.function import Function
from facet.settings import settings

app = Function("refresh_token")


class RefreshHeaders(BaseModel):
    refresh_token: str = Field(alias="refresh-token", description="The refresh token of the last pair.")


class Refresh(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: SecretStr = Field(description="The refresh token of the last pair.", examples=["5fJ0pXq3…"])


@app.endpoint(
    "GET",
    "/users/refresh-token",
    headers=RefreshHeaders,
    returns=tokens.TokenPair,
    raises=(tokens.RefreshRefused,),
    kept=True,
    tags=("users",),
)
def refresh_by_header(headers: RefreshHeaders) -> tokens.TokenPair:
    """Exchange a refresh token for the next pair"""
    return exchange(headers.refresh_token)


@app.endpoint(
    "POST",
    "/users/refresh-token",
    body=Refresh,
    returns=tokens.TokenPair,
    raises=(tokens.RefreshRefused,),
    tags=("users",),
)
def refresh_by_body(body: Refresh) -> tokens.TokenPair:
    """Exchange a refresh token for the next pair

    A token works once. Sent again within 15 seconds it gets the same successor, so a lost answer ends no session;
    later, or after its successor was used, it counts as stolen and ends the session it belongs to.
    """
    return exchange(body.refresh_token.get_secret_value())


def exchange(token: str) -> tokens.TokenPair:
    with db.transaction() as conn:
        rotation = tokens.rotate(conn, token, terms=settings())
    if rotation is None:  # only now: what the refusal revoked must be committed
        raise tokens.RefreshRefused
    return tokens.TokenPair(
        access_token=auth.issue_access_token(rotation.user_id), refresh_token=rotation.refresh_token
    )
