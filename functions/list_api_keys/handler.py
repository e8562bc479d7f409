"""GET /api-keys, and invoked directly (`facet apikey list`): the keys of a user, or of everybody."""

from pydantic import BaseModel, ConfigDict, Field

from avatars import api_keys, users
from avatars.refusals import UserGone
from facet import auth, db
from facet.function import Function

app = Function("list_api_keys")


class ApiKeys(BaseModel):
    items: list[api_keys.ApiKey] = Field(
        description="Keys that work, then the last 100 that were revoked or expired; the newest first."
    )


class Whose(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_email: users.EmailToFind | None = None


class OwnedApiKeys(BaseModel):
    items: list[api_keys.OwnedApiKey]


@app.endpoint("GET", "/api-keys", returns=ApiKeys, caller=auth.USER, raises=(UserGone,), tags=("api-keys",))
def list_api_keys(caller: auth.Caller) -> ApiKeys:
    """List the API keys

    The secrets are not among what is listed: they were shown when the keys were made.
    """
    with db.transaction() as conn:
        return ApiKeys(items=api_keys.of_user(conn, caller.user_id))


@app.internal(body=Whose, returns=OwnedApiKeys)
def list_api_keys_of(body: Whose) -> OwnedApiKeys:
    with db.transaction() as conn:
        user_id = users.id_of(conn, body.user_email) if body.user_email else None
        return OwnedApiKeys(items=api_keys.of_anybody(conn, user_id=user_id))
