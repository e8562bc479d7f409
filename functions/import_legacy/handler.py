"""Invoked directly (`facet import-legacy`): take over users, tasks and files of the old system, a batch at a time."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from avatars import legacy_batches, legacy_source
from facet import db, objects
from facet.function import Function
from facet.settings import settings

app = Function("import_legacy")


class ImportRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    dsn: SecretStr = Field(description="The old database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE.")
    s3_url: SecretStr = Field(description="The old object storage: http://KEY:SECRET@HOST:PORT.")
    after: Annotated[str, StringConstraints(pattern=r"^(users|tasks)(:-?\d{1,18})?$")] = "users"
    limit: int = Field(default=50, ge=1, le=1000, description="How many rows one batch looks at.")
    api_key_id: int | None = Field(default=None, description="The key that gets the tasks of outside systems.")
    adopt_accounts: bool = Field(default=False, description="Who registered here with an old e-mail is that old user.")


class Remark(BaseModel):
    what: Literal["user", "task"]
    id: int = Field(description="In the old system.")
    code: str
    reason: str


class Batch(BaseModel):
    """What one batch did. `cursor` is the next one's `after`, null at the end; `done` and `total` are of the phase."""

    phase: Literal["users", "tasks"]
    done: int
    total: int
    cursor: str | None
    imported: int
    present: int
    skipped: list[Remark]
    changed: list[Remark] = Field(description="Imported, but not as it was.")


@app.internal(body=ImportRequest, returns=Batch)
def import_legacy(body: ImportRequest) -> Batch:
    phase, _, after = body.after.partition(":")
    page = legacy_batches.Page(int(after) if after else None, body.limit)
    dsn = body.dsn.get_secret_value()
    storage = legacy_source.Storage(body.s3_url.get_secret_value())  # a bad address is told before anything is done
    if phase == "users":
        taken = legacy_batches.users(db.transaction, dsn, page, adopt=body.adopt_accounts)
        return _told("users", taken, then="tasks")
    taken = legacy_batches.tasks(
        db.transaction, dsn, page, api_key_id=body.api_key_id, storage=storage, objects=objects, at=settings()
    )
    return _told("tasks", taken, then=None)


def _told(phase: Literal["users", "tasks"], taken: legacy_batches.Batch, *, then: str | None) -> Batch:
    def remarks(state: str) -> list[Remark]:
        return [
            Remark(what="user" if phase == "users" else "task", id=legacy_id, code=note.code, reason=note.reason)
            for legacy_id, outcome in taken.outcomes.items()
            if outcome.state == state
            for note in outcome.notes
        ]

    states = [outcome.state for outcome in taken.outcomes.values()]
    return Batch(
        phase=phase,
        done=taken.size.done + len(states),
        total=taken.size.total,
        cursor=then if taken.is_last else f"{phase}:{max(taken.outcomes)}",
        imported=states.count("imported"),
        present=states.count("present"),
        skipped=remarks("skipped"),
        changed=remarks("imported"),
    )
