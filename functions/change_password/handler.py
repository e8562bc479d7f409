"""POST /users/password: choose another password."""

from pydantic import BaseModel, ConfigDict, Field

from avatars import credentials, passwords, tokens
from avatars.refusals import UserGone
from facet import auth, db, limits
from facet.function import Function
from facet.settings import settings

app = Function("change_password")


class PasswordChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    current_password: passwords.PasswordToCheck = Field(examples=["correct horse battery staple"])
    new_password: passwords.PasswordToSet = Field(
        description="All of it counts.", examples=["a stable of better horses"]
    )


@app.endpoint(
    "POST",
    "/users/password",
    body=PasswordChange,
    returns=tokens.TokenPair,
    caller=auth.USER,
    raises=(credentials.WrongPassword, UserGone, passwords.Busy),
    limits=(limits.per_owner("password", "limit_sign_ins_per_account"),),
    tags=("users",),
)
def change_password(caller: auth.Caller, body: PasswordChange) -> tokens.TokenPair:
    """Change the password

    Ends every session of the user, this one included, and opens a new one: go on with the pair in the answer.
    """
    with db.transaction() as conn:
        account = credentials.account_of(conn, caller)
    user = credentials.confirm(account, body.current_password.get_secret_value())
    password_hash = passwords.hash_of(body.new_password.get_secret_value())
    with db.transaction() as conn:
        if not credentials.admit(conn, user):
            raise credentials.WrongPassword
        credentials.set_password(conn, user.user_id, password_hash)
        tokens.end_all(conn, user.user_id)
        refresh_token = tokens.open_family(conn, user_id=user.user_id, terms=settings())
    return tokens.TokenPair(access_token=auth.issue_access_token(user.user_id), refresh_token=refresh_token)
