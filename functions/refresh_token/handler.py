"""GET /users/refresh-token: exchange a refresh token for the next pair."""

from pydantic import BaseModel, Field

from avatars import tokens
from facet import auth, db
from facet.function import Function
from facet.settings import settings

app = Function("refresh_token")


class RefreshHeaders(BaseModel):
    refresh_token: str = Field(alias="refresh-token", description="The refresh token of the last pair.")


@app.endpoint(
    "GET",
    "/users/refresh-token",
    headers=RefreshHeaders,
    returns=tokens.TokenPair,
    raises=(tokens.RefreshRefused,),
    kept=True,
    tags=("users",),
)
def refresh_token(headers: RefreshHeaders) -> tokens.TokenPair:
    """Exchange a refresh token for the next pair"""
    with db.transaction() as conn:
        rotation = tokens.rotate(conn, headers.refresh_token, terms=settings())
    if rotation is None:  # only now: what the refusal revoked must be committed
        raise tokens.RefreshRefused
    return tokens.TokenPair(
        access_token=auth.issue_access_token(rotation.user_id), refresh_token=rotation.refresh_token
    )
