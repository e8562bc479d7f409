"""POST /3d-model-generation/tasks/{uuid}/retry, for users and integrations: the same photo once more."""

from dataclasses import replace
from datetime import UTC, datetime

from avatars import api_keys, idempotency, in_flight, resource, retries, sandbox, submissions, tasks
from avatars.idempotency import IdempotencyHeaders
from avatars.refusals import UserGone
from facet import auth, broker, db, limits, log, objects, tracing
from facet.function import Function
from facet.http import Answer, Request
from facet.settings import settings

app = Function("retry_task")

CREATES = limits.per_owner("create", "limit_creates_per_owner", by_view=True)  # a repeat makes nothing and is free
REFUSALS = (
    tasks.TaskNotFound, retries.TaskNotRetryable, UserGone, sandbox.OutcomeUnknown, in_flight.TooManyInFlight,
    idempotency.KeyReused, idempotency.KeyInFlight,
)  # fmt: skip


@app.endpoint(
    "POST",
    "/3d-model-generation/tasks/{uuid}/retry",
    headers=IdempotencyHeaders,
    returns=resource.Task,
    status=201,
    caller=auth.USER,
    integrations=api_keys.verify,
    limits=(CREATES,),
    sends=("Location",),
    raises=REFUSALS,
    tags=("tasks",),
)
def retry_task(caller: auth.Caller, uuid: str, headers: IdempotencyHeaders, request: Request) -> Answer:
    """Try a task again

    A task that ended as FAILED, INVALID_INPUT or CANCELLED stays as it is; a new one with the same photo, options and
    metadata is made, and `retry_of` names the old. Sent again with its `Idempotency-Key`, the request is answered with
    the new task as it is by then.
    """
    asked, key = idempotency.fingerprint({"task": uuid.lower()}), headers.idempotency_key
    with db.transaction() as conn:
        ticket = idempotency.begin(conn, owner=caller, operation="retry_task", key=key, fingerprint=asked)
        if ticket.made is not None:
            return _answer(conn, caller, request, str(ticket.made), replayed=True)
        limited = CREATES.count(conn, request, {"caller": caller})
        old = retries.find(conn, owner=caller, request_uuid=uuid)
        submission = submissions.begin(
            conn,
            owner=caller,
            ticket=ticket,
            options=old["options"],
            metadata=old["metadata"],
            at=settings(),
            retry_of=old["request_uuid"],
        )
    with idempotency.given_up_on_failure(db.transaction, ticket, unavailable=db.Unavailable):
        submissions.store(submission, objects, photo=None)
        with db.transaction() as conn:
            photo_id = retries.hold(conn, owner=caller, task=old)
            traceparent = tracing.current() or request.headers.get("traceparent")
            made = submissions.make(conn, submission, photo_id=photo_id, traceparent=traceparent)
    submissions.announce(made, db.transaction, to=settings(), broker=broker, objects=objects, log=log.get())
    with db.transaction() as conn:
        answer = _answer(conn, caller, request, str(made.task.request_uuid), replayed=False)
    return replace(answer, headers=answer.headers + limited)


def _answer(conn: db.Connection, caller: auth.Caller, request: Request, request_uuid: str, *, replayed: bool) -> Answer:
    row = tasks.whole(conn, owner=caller, request_uuid=request_uuid)
    base, now = resource.base_of(request.path), datetime.now(UTC)
    task = resource.task_of(row, base=base, objects=objects, now=now)
    return Answer(task, submissions.headers(request.path, row["request_uuid"], replayed=replayed))
