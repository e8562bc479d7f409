"""GET /user-info/generation-history: the tasks of a user that are open or have succeeded."""

import uuid

from pydantic import BaseModel, Field

from avatars import media, tasks
from facet import auth, db, objects
from facet.function import Function

app = Function("get_generation_history")


class HistoryItem(BaseModel):
    task_id: int = Field(examples=[12])
    task_request_uuid: uuid.UUID
    input_image_url: str = Field(description="Presigned URL of the photo; one hour.")
    datetime_created: str = Field(examples=["2026-11-22 18:54:08.959232+00:00"])


class History(BaseModel):
    items: list[HistoryItem] = Field(description="Oldest first.")


@app.endpoint(
    "GET",
    "/user-info/generation-history",
    returns=History,
    caller=auth.USER,
    kept=True,
    tags=("user-info",),
)
def get_generation_history(caller: auth.Caller) -> History:
    """What a user has made"""
    with db.transaction() as conn:
        rows = tasks.history_of(conn, caller)
    return History(
        items=[
            HistoryItem(
                task_id=row["id"],
                task_request_uuid=row["request_uuid"],
                input_image_url=objects.presign_get(
                    row["bucket"], row["object_key"], expires_in=media.CLIENT_URL_SECONDS
                ),
                datetime_created=row["created_at"].isoformat(sep=" ", timespec="microseconds"),
            )
            for row in rows
        ]
    )
