"""POST /users/authorization: sign in with e-mail and password."""

from pydantic import BaseModel, Field

from avatars import credentials, passwords, tokens, users
from facet import auth, db, limits
from facet.function import Function
from facet.settings import settings

app = Function("authorize_user")


class SignIn(BaseModel):
    email: users.EmailToFind = Field(description="In any case.", examples=["ada@example.org"])
    password: passwords.PasswordToCheck = Field(examples=["correct horse battery staple"])


@app.endpoint(
    "POST",
    "/users/authorization",
    body=SignIn,
    returns=tokens.TokenPair,
    raises=(credentials.WrongCredentials, passwords.Busy),
    limits=(
        limits.per_address("sign-in", "limit_sign_ins_per_address"),
        limits.per_value("sign-in-account", "limit_sign_ins_per_account", lambda given: given["body"].email),
    ),
    kept=True,
    tags=("users",),
)
def authorize_user(body: SignIn) -> tokens.TokenPair:
    """Sign in"""
    with db.transaction() as conn:
        account = credentials.find_account(conn, body.email)
    user = credentials.authenticate(account, body.password.get_secret_value())
    with db.transaction() as conn:
        if not credentials.admit(conn, user):
            raise credentials.WrongCredentials
        refresh_token = tokens.open_family(conn, user_id=user.user_id, terms=settings())
    return tokens.TokenPair(access_token=auth.issue_access_token(user.user_id), refresh_token=refresh_token)
