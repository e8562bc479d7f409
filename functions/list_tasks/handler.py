"""GET /3d-model-generation/tasks, for users and integrations: pages of tasks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from avatars import api_keys, pages, resource
from facet import auth, db, objects
from facet.function import Function
from facet.http import Answer, Request
from facet.settings import settings

app = Function("list_tasks")

STATES = ", ".join(get_args(resource.Status))


def _split(values: Any) -> Any:
    """Repeated parameters and lists with commas alike."""
    return [part for value in values for part in value.split(",")] if isinstance(values, Sequence) else values


def _written_out(value: Any) -> Any:
    """A bare number would count as seconds since 1970; nobody means that."""
    if isinstance(value, str) and "-" not in value[1:]:
        raise ValueError("a time such as 2026-11-22T18:54:08Z is expected")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_written_out)]


class Chosen(BaseModel):
    status: Annotated[list[resource.Status], BeforeValidator(_split)] = Field(
        default=[],
        description=f"Only tasks in these states, repeated or separated by commas. {STATES}.",
        examples=[["INITIAL", "PENDING", "IN_PROGRESS"]],
    )
    limit: int = Field(default=20, ge=1, le=100, description="Tasks per page.")
    cursor: str | None = Field(
        default=None, description="`next_cursor` of the page before; without it, the first page."
    )
    created_after: Time | None = Field(
        default=None, description="Only tasks made later than this.", examples=["2026-11-22T18:54:08Z"]
    )
    created_before: Time | None = Field(
        default=None, description="Only tasks made earlier than this.", examples=["2026-11-23T00:00:00Z"]
    )


class TaskList(BaseModel):
    items: list[resource.Task] = Field(description="Newest first.")
    next_cursor: str | None = Field(
        description="Asks for the next page, with the same filters; null on the last one. "
        'The header `Link: <…>; rel="next"` holds the whole address.'
    )


@app.endpoint(
    "GET",
    "/3d-model-generation/tasks",
    query=Chosen,
    returns=TaskList,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=(pages.CursorInvalid,),
    tags=("tasks",),
)
def list_tasks(caller: auth.Caller, query: Chosen, request: Request) -> Answer:
    """List tasks, newest first

    Pages are stable: what is made or deleted meanwhile neither repeats nor hides a task of a later page.
    """
    key = settings().secret_key.get_secret_value().encode()
    after_id = None if query.cursor is None else pages.unseal(query.cursor, key=key)
    chosen = pages.Filter(query.status, query.created_after, query.created_before)
    with db.transaction() as conn:
        page = pages.read(conn, owner=caller, chosen=chosen, limit=query.limit, after_id=after_id)
    now, base = datetime.now(UTC), resource.base_of(request.path)
    items = [resource.task_of(row, base=base, objects=objects, now=now) for row in page.rows]
    if page.last_id is None:
        return Answer(TaskList(items=items, next_cursor=None))
    cursor = pages.seal(page.last_id, key=key)
    return Answer(TaskList(items=items, next_cursor=cursor), [("link", f'<{_next(request, cursor)}>; rel="next"')])


def _next(request: Request, cursor: str) -> str:
    """The address of the next page: this one's, with another cursor."""
    kept = [(name, value) for name, value in request.query if name != "cursor"]
    return f"{request.path}?{urlencode([*kept, ('cursor', cursor)])}"
