"""GET /3d-model-generation/tasks/{uuid}, for users and integrations: the whole task, at once or when it changes."""

from datetime import UTC, datetime

from psycopg.rows import DictRow
from pydantic import BaseModel, Field

from avatars import api_keys, resource, tasks, waiting
from facet import auth, db, http, objects
from facet.function import Function
from facet.http import Answer, Request
from facet.settings import settings

app = Function("get_task")

RESERVE = 3  # seconds of an invocation that are not waited away


class ReadHeaders(BaseModel):
    if_none_match: str | None = Field(
        default=None,
        alias="if-none-match",
        description="The ETag of the answer before: unchanged, the answer is 304 without a body.",
        examples=['W/"4-0-0"'],
    )
    prefer: str | None = Field(
        default=None,
        description=f"`wait=0` to `wait={waiting.LONGEST}`: answer as soon as the task changes, at the latest after so "
        "many seconds. What `If-None-Match` names, else the state at the start, counts as known. "
        "`Preference-Applied` in the answer says that it was heeded; at busy times it is not.",
        examples=["wait=20"],
    )


@app.endpoint(
    "GET",
    "/3d-model-generation/tasks/{uuid}",
    headers=ReadHeaders,
    returns=resource.Task,
    caller=auth.USER,
    integrations=api_keys.verify,
    raises=(tasks.TaskNotFound,),
    sends=("Retry-After",),
    tags=("tasks",),
)
def get_task(caller: auth.Caller, uuid: str, request: Request, headers: ReadHeaders) -> Answer:
    """Read a task

    With `Prefer: wait` the answer comes when there is news, so that nobody has to ask every second.
    """
    row = _read(caller, uuid)
    seconds = waiting.preferred(headers.prefer)
    if seconds and _has_newest(row, request) and row["finished_at"] is None:
        seconds = _waited(row, seconds)
        row = row if seconds is None else _read(caller, uuid)
    now = datetime.now(UTC)
    etag = resource.etag_of(row, now)
    answered = [("etag", etag), ("cache-control", "private, no-cache"), *resource.retry_after(row)]
    if seconds is not None:
        answered.append(("preference-applied", f"wait={seconds}"))
    if http.unchanged(request, etag):
        return Answer(None, answered, status=304)
    return Answer(resource.task_of(row, base=resource.base_of(request.path), objects=objects, now=now), answered)


def _read(caller: auth.Caller, uuid: str) -> DictRow:
    with db.transaction() as conn:
        return tasks.whole(conn, owner=caller, request_uuid=uuid)


def _has_newest(row: DictRow, request: Request) -> bool:
    """Whether the client knows this state; one that names no version is taken to."""
    return "if-none-match" not in request.headers or http.unchanged(request, resource.etag_of(row, datetime.now(UTC)))


def _waited(row: DictRow, seconds: int) -> int | None:
    """Wait for news so many seconds at most; None when every place to wait in is taken.

    In a transaction of its own, which holds the place and leaves the task to whoever changes it.
    """
    with db.transaction() as conn:
        if not waiting.take_place(conn, places=settings().long_poll_waiters):
            return None
        waiting.until_change(conn, row, seconds=min(seconds, _seconds_left() - RESERVE))
    return seconds


def _seconds_left() -> float:
    """Of this invocation: the template may allow less than a client wants to wait."""
    return float(app.lambda_context.get_remaining_time_in_millis()) / 1000
