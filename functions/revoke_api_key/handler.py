"""DELETE /api-keys/{id}, and invoked directly (`facet apikey revoke`): end a key."""

from pydantic import BaseModel, ConfigDict

from avatars import api_keys
from avatars.refusals import UserGone
from facet import auth, db
from facet.function import Function

app = Function("revoke_api_key")


class WhichKey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: int


@app.endpoint(
    "DELETE",
    "/api-keys/{id}",
    status=204,
    caller=auth.USER,
    raises=(api_keys.ApiKeyNotFound, UserGone),
    tags=("api-keys",),
)
def revoke_api_key(caller: auth.Caller, id: str) -> None:
    """Revoke an API key

    It stops working at once and for good; what it made stays. Revoking it again changes nothing.
    """
    with db.transaction() as conn:
        api_keys.revoke(conn, id, user_id=caller.user_id)


@app.internal(body=WhichKey)
def revoke_any_api_key(body: WhichKey) -> None:
    with db.transaction() as conn:
        api_keys.revoke_any(conn, str(body.id))
