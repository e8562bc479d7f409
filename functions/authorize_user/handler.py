"""POST /users/authorization: sign in with e-mail and password."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from avatars import credentials, tokens, users
from facet import auth, db
from facet.function import Function
from facet.settings import settings

app = Function("authorize_user")


class SignIn(BaseModel):
    """Accounts of the old system may have passwords that could not be chosen today."""

    email: users.EmailToFind = Field(description="In any case.", examples=["ada@example.org"])
    password: Annotated[SecretStr, Field(max_length=1024)] = Field(examples=["correct horse battery staple"])


@app.endpoint(
    "POST",
    "/users/authorization",
    body=SignIn,
    returns=tokens.TokenPair,
    raises=(credentials.WrongCredentials,),
    kept=True,
    tags=("users",),
)
def authorize_user(body: SignIn) -> tokens.TokenPair:
    """Sign in"""
    with db.transaction() as conn:
        account = credentials.find_account(conn, body.email)
    user = credentials.authenticate(account, body.password.get_secret_value())
    with db.transaction() as conn:
        credentials.replace_outdated_hash(conn, user)
        refresh_token = tokens.open_family(conn, user_id=user.user_id, terms=settings())
    return tokens.TokenPair(access_token=auth.issue_access_token(user.user_id), refresh_token=refresh_token)
