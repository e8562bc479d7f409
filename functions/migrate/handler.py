"""Brings database, buckets, queues and policies into the state this release needs. Repeating it changes nothing."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from facet import db, objects, queues
from facet.function import Function
from facet.problems import Problem
from facet.settings import settings
from migrations import schema

NO_CORS = "This S3 has no CORS per bucket: let the server itself allow {origins}"
ADDRESSES = {
    "schema": "POSTGRES_HOST and POSTGRES_PORT",
    "buckets": "MINIO_HOST",
    "queues": "RABBITMQ_HOST and RABBITMQ_PORT",
    "policies": "RABBITMQ_MANAGEMENT_URL",
}
NO_SIGNER = (
    "URLs are signed with the functions' own role and end with its session, those of agents too: "
    "give MINIO_SIGNING_ACCESS_KEY and MINIO_SIGNING_SECRET_KEY"
)
NO_POLICIES = "RABBITMQ_MANAGEMENT_URL is not set, so the policies of the queues were left alone"


class MigrationFailed(Exception):
    """A part could not be brought up to date. What came before it is done; repeat when the cause is gone."""


class Target(BaseModel):
    model_config = ConfigDict(extra="forbid")

    revision: str = "head"


app = Function("migrate")


@app.internal(body=Target)
def migrate(body: Target) -> dict[str, Any]:
    """Returns {"schema": revision, "buckets": […], "queues": […], "policies": […], "notes": what needs a person}."""
    notes: list[str] = []
    parts: dict[str, Callable[[], Any]] = {
        "schema": lambda: schema.move(db.connect, body.revision),
        "buckets": lambda: _buckets(notes),
        "queues": queues.declare,
        "policies": lambda: _policies(notes),
    }
    return {name: _done(name, part) for name, part in parts.items()} | {"notes": notes}


def _done(name: str, part: Callable[[], Any]) -> Any:
    try:
        return part()
    except Problem as outage:
        cause = f" ({outage.__cause__!r})" if outage.__cause__ else ""
        raise MigrationFailed(f"{name}: {outage.detail}{cause} Check {ADDRESSES[name]}.") from outage
    except (schema.SchemaError, queues.Misconfigured) as error:
        raise MigrationFailed(f"{name}: {error}") from error


def _buckets(notes: list[str]) -> list[str]:
    at = settings()
    for_browsers = [at.minio_images_bucket, at.minio_3d_files_bucket]
    buckets = [*for_browsers, at.minio_deca_emotions_bucket]
    for bucket in buckets:
        objects.ensure_bucket(bucket)
    allowed = [objects.allow_origins(bucket, at.cors_origins) for bucket in for_browsers]
    if not all(allowed):
        notes.append(NO_CORS.format(origins=", ".join(at.cors_origins)))
    if at.minio_session_token is not None and at.minio_signing_access_key is None:
        notes.append(NO_SIGNER)
    return buckets


def _policies(notes: list[str]) -> list[str]:
    policies = queues.set_policies()
    if policies is None:
        notes.append(NO_POLICIES)
    return policies or []
