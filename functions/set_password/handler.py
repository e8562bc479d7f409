"""Invoked directly (`facet user set-password`): give an account another password and end its sessions."""

from pydantic import BaseModel, ConfigDict

from avatars import accounts, credentials, passwords, tokens, users
from facet import db
from facet.function import Function

app = Function("set_password")


class NewPassword(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: users.EmailToFind
    password: passwords.PasswordToSet


class PasswordSet(BaseModel):
    id: int


@app.internal(body=NewPassword, returns=PasswordSet)
def set_password(body: NewPassword) -> PasswordSet:
    password_hash = passwords.hash_of(body.password.get_secret_value())
    with db.transaction() as conn:
        user_id = accounts.lock(conn, body.email)
        credentials.set_password(conn, user_id, password_hash)
        tokens.end_all(conn, user_id)
    return PasswordSet(id=user_id)
