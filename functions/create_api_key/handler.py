"""POST /api-keys, and invoked directly (`facet apikey create`): make a key, for a user or an outside system."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from avatars import api_keys, users
from avatars.refusals import UserGone
from facet import auth, db
from facet.function import Function

app = Function("create_api_key")


class KeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: users.Name = Field(description="What the key is for.", examples=["Photo booth"])
    scopes: api_keys.Scopes = Field(
        default=list(api_keys.SCOPES),
        description="What the key may do: `tasks:read` reads tasks, `tasks:write` uploads, makes and changes them.",
        examples=[["tasks:read", "tasks:write"]],
    )
    expires_in_days: api_keys.Days | None = Field(
        default=None, description="After how many days it stops working; never if left out.", examples=[90]
    )
    test_mode: bool = Field(
        default=False,
        strict=True,
        description="Nothing the key makes reaches an agent: tasks end as their `metadata.sandbox` asks.",
    )

    @property
    def lifetime(self) -> timedelta | None:
        return timedelta(days=self.expires_in_days) if self.expires_in_days else None


class OperatorsKeyRequest(KeyRequest):
    user_email: users.EmailToFind | None = None


@app.endpoint(
    "POST",
    "/api-keys",
    body=KeyRequest,
    returns=api_keys.NewApiKey,
    status=201,
    caller=auth.USER,
    raises=(api_keys.TooManyApiKeys, UserGone),
    tags=("api-keys",),
)
def create_api_key(caller: auth.Caller, body: KeyRequest) -> api_keys.NewApiKey:
    """Make an API key

    For an outside system that acts for you: it sends the key as `X-API-Key` to the routes below `/integrations`. The
    secret is in this answer alone. To replace a key, make another, let the system use it, then revoke the first: all
    your keys see the same tasks.
    """
    with db.transaction() as conn:
        return _create(conn, body, caller.user_id)


@app.internal(body=OperatorsKeyRequest, returns=api_keys.NewApiKey)
def create_api_key_for(body: OperatorsKeyRequest) -> api_keys.NewApiKey:
    with db.transaction() as conn:
        return _create(conn, body, users.id_of(conn, body.user_email) if body.user_email else None)


def _create(conn: db.Connection, asked: KeyRequest, user_id: int | None) -> api_keys.NewApiKey:
    return api_keys.create(
        conn,
        name=asked.name,
        user_id=user_id,
        lifetime=asked.lifetime,
        scopes=asked.scopes,
        test_mode=asked.test_mode,
    )
