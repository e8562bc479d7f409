"""POST /users/registration: add a user."""

from pydantic import BaseModel, Field

from avatars import passwords, users
from facet import db, limits
from facet.function import Function

app = Function("register_user")


class Registration(BaseModel):
    name: users.Name = Field(description="How the person wants to be called.", examples=["Ada Lovelace"])
    email: users.EmailToRegister = Field(description="Unique without case.", examples=["ada@example.org"])
    password: passwords.PasswordToSet = Field(
        description="All of it counts.", examples=["correct horse battery staple"]
    )


class Registered(BaseModel):
    user_id: int = Field(examples=[7])


@app.endpoint(
    "POST",
    "/users/registration",
    body=Registration,
    returns=Registered,
    status=201,
    raises=(users.EmailTaken, passwords.Busy),
    limits=(limits.per_address("registration", "limit_registrations_per_address"),),
    kept=True,
    tags=("users",),
)
def register_user(body: Registration) -> Registered:
    """Register a user"""
    password_hash = passwords.hash_of(body.password.get_secret_value())  # slow on purpose: before the transaction
    with db.transaction() as conn:
        user_id = users.register(conn, name=body.name, email=body.email, password_hash=password_hash)
    return Registered(user_id=user_id)
