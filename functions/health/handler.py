"""GET /health/live, GET /health/ready: whether this process runs, and whether what it needs answers."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Literal

from pydantic import BaseModel

from facet import broker, db, log, objects
from facet.function import Function
from facet.problems import Fault, Problem
from facet.settings import settings

PATIENCE = 2.0  # seconds; all parts are asked at once

app = Function("health")


class Live(BaseModel):
    status: Literal["live"] = "live"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


class NotReady(Problem):
    """The database, the broker or the storage does not answer; `errors` names which. Tasks may be accepted still."""

    status, code, title = 503, "NOT_READY", "Not ready"
    headers: Mapping[str, str] = {"Retry-After": "5"}


@app.endpoint("GET", "/health/live", returns=Live, tags=["health"])
def live() -> Live:
    """Whether the process answers, whatever it needs"""
    return Live()


@app.endpoint("GET", "/health/ready", returns=Ready, raises=[NotReady], tags=["health"])
def ready() -> Ready:
    """Whether database, broker and storage answer; `errors` names those that do not"""
    if faults := _faults():
        raise NotReady(f"Down: {', '.join(fault['loc'][0] for fault in faults)}", errors=faults)
    return Ready()


def _database() -> None:
    with db.transaction() as conn:
        conn.execute("SELECT 1")


def _storage() -> None:
    with suppress(objects.NotFound):  # an answer as good as any
        objects.head(settings().minio_images_bucket, "health")


def _broker() -> None:
    """It answers, and has the queues: one that somebody deleted would swallow tasks or results without a word."""
    for queue in (settings().rabbitmq_tasks_queue, settings().rabbitmq_tasks_results_queue):
        broker.depth(queue)


CHECKS: Mapping[str, Callable[[], None]] = {"database": _database, "broker": _broker, "storage": _storage}

_pool = ThreadPoolExecutor(max_workers=len(CHECKS), thread_name_prefix="check")
_running: dict[str, Future[None]] = {}


def _faults() -> list[Fault]:
    """What is down. A check that hangs is not started a second time: there is one connection per process."""
    for part, check in CHECKS.items():
        if part not in _running or _running[part].done():
            _running[part] = _pool.submit(check)
    wait(_running.values(), timeout=PATIENCE)
    reasons = {part: _reason(part, future) for part, future in _running.items()}
    return [{"type": "down", "loc": [part], "msg": reason} for part, reason in reasons.items() if reason]


def _reason(part: str, check: Future[None]) -> str | None:
    if not check.done():
        return f"No answer within {PATIENCE:g} seconds"
    error = check.exception()
    if error is None or isinstance(error, Problem):
        return str(error) if error else None
    log.get().error("the check of the %s failed", part, exc_info=error)
    return "The check failed: see the log"
