"""PATCH /user-info/profile-info: change name or e-mail."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from avatars import credentials, passwords, profiles, users
from avatars.refusals import UserGone
from facet import auth, db, limits, objects
from facet.function import Function

app = Function("update_profile")


class ProfileChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    name: users.Name | None = Field(
        default=None, description="How the person wants to be called.", examples=["Ada King"]
    )
    email: users.EmailToRegister | None = Field(
        default=None, description="Unique without case; needs `password` beside it.", examples=["ada@example.com"]
    )
    password: passwords.PasswordToCheck | None = Field(
        default=None, description="The current one; asked for with `email`.", examples=["correct horse battery staple"]
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.name is None and self.email is None:
            raise ValueError("name or email is needed")
        return self


@app.endpoint(
    "PATCH",
    "/user-info/profile-info",
    body=ProfileChange,
    returns=profiles.Profile,
    caller=auth.USER,
    raises=(credentials.WrongPassword, users.EmailTaken, UserGone, passwords.Busy),
    limits=(limits.per_owner("password", "limit_sign_ins_per_account"),),
    tags=("user-info",),
)
def update_profile(caller: auth.Caller, body: ProfileChange) -> profiles.Profile:
    """Change name or e-mail

    Another e-mail is what the person signs in with from now on, so it needs the current password.
    """
    user = authenticated(caller, body.password) if body.email is not None else None
    with db.transaction() as conn:
        if user is not None and not credentials.admit(conn, user):
            raise credentials.WrongPassword
        users.change(conn, caller.user_id, name=body.name, email=body.email)
        row = users.profile(conn, caller)
    return profiles.profile_of(row, objects=objects)


def authenticated(caller: auth.Caller, password: SecretStr | None) -> credentials.Authenticated:
    if password is None:
        raise credentials.WrongPassword("The current password is needed to change the email")
    with db.transaction() as conn:
        account = credentials.account_of(conn, caller)
    return credentials.confirm(account, password.get_secret_value())
