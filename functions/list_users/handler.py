"""Invoked directly (`facet user list`): the users, page by page."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from avatars import accounts
from facet import db
from facet.function import Function

app = Function("list_users")


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    after: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Users(BaseModel):
    """`next` goes into `after` of the next page; null on the last."""

    items: list[accounts.Account]
    next: int | None


@app.internal(body=Page, returns=Users)
def list_users(body: Page) -> Users:
    with db.transaction() as conn:
        rows = accounts.listed(conn, after=body.after, limit=body.limit + 1)
    items = [accounts.Account.model_validate(row) for row in rows[: body.limit]]
    return Users(items=items, next=items[-1].id if len(rows) > body.limit else None)
