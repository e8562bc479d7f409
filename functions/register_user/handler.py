"""POST /users/registration: add a user."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr, StringConstraints

from avatars import passwords, users
from facet import db
from facet.function import Function

app = Function("register_user")

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Password = Annotated[SecretStr, Field(min_length=8, max_length=passwords.MAX_LENGTH)]


class Registration(BaseModel):
    name: Name = Field(description="How the person wants to be called.", examples=["Ada Lovelace"])
    email: users.EmailToRegister = Field(description="Unique without case.", examples=["ada@example.org"])
    password: Password = Field(description="All of it counts.", examples=["correct horse battery staple"])


class Registered(BaseModel):
    user_id: int = Field(examples=[7])


@app.endpoint(
    "POST",
    "/users/registration",
    body=Registration,
    returns=Registered,
    status=201,
    raises=(users.EmailTaken,),
    kept=True,
    tags=("users",),
)
def register_user(body: Registration) -> Registered:
    """Register a user"""
    password_hash = passwords.hash_of(body.password.get_secret_value())  # slow on purpose: before the transaction
    with db.transaction() as conn:
        user_id = users.register(conn, name=body.name, email=body.email, password_hash=password_hash)
    return Registered(user_id=user_id)
