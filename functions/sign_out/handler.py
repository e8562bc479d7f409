"""POST /users/sign-out: end one session, or all of a user's."""

from pydantic import BaseModel, Field

from avatars import tokens
from facet import db
from facet.function import Function

app = Function("sign_out")


class SignOutHeaders(BaseModel):
    refresh_token: str = Field(alias="refresh-token", description="The refresh token of the session's last pair.")


class SignOut(BaseModel):
    everywhere: bool = Field(default=False, description="Whether the user's other sessions end too.")


@app.endpoint(
    "POST",
    "/users/sign-out",
    headers=SignOutHeaders,
    query=SignOut,
    status=204,
    raises=(tokens.RefreshRefused,),
    tags=("users",),
)
def sign_out(headers: SignOutHeaders, query: SignOut) -> None:
    """Sign out

    Ends the session of this refresh token; a token of no session is no error. With `everywhere=true` all sessions
    of the user end, which needs a token that could still be exchanged: one that was used up counts as stolen, ends
    its own session alone and gets 401. Access tokens already issued live out their minutes.
    """
    with db.transaction() as conn:
        if not query.everywhere:
            tokens.end_session(conn, headers.refresh_token)
            return
        has_ended = tokens.end_everywhere(conn, headers.refresh_token)
    if not has_ended:  # only now: what the refusal revoked must be committed
        raise tokens.RefreshRefused
