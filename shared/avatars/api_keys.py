"""API keys of outside systems: shown once, kept as a hash, owners of the tasks they create."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import BaseModel, Field

from avatars import users
from avatars.refusals import Refusal, UserGone

LIVE_PREFIX, TEST_PREFIX = "avk_live_", "avk_test_"
MOST_LIVE_KEYS = 20
LONGEST_LIFE_DAYS = 3650
LAST_USED_RESOLUTION = timedelta(minutes=1)
ENDED_KEYS_LISTED = 100

Scope = Literal["tasks:read", "tasks:write"]
SCOPES: tuple[Scope, ...] = ("tasks:read", "tasks:write")
Days = Annotated[int, Field(strict=True, ge=1, le=LONGEST_LIFE_DAYS)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))]


class ApiKeyNotFound(Refusal):
    """You have no API key with this id. `GET /api-keys` lists those you have."""

    status = 404
    code = "API_KEY_NOT_FOUND"
    title = "The API key was not found"


class TooManyApiKeys(Refusal):
    """You have as many keys as one user may have at once. Revoke one that is no longer used: `last_used_at` in
    `GET /api-keys` tells which. Expired and revoked keys do not count."""

    status = 409
    code = "TOO_MANY_API_KEYS"
    title = f"A user may have at most {MOST_LIVE_KEYS} API keys that work"


class ApiKey(BaseModel):
    """What people may see of a key."""

    id: int = Field(description="Names the key when it is to be revoked.", examples=[3])
    name: str = Field(description="What it is for, in its owner's words.", examples=["Photo booth"])
    prefix: str = Field(description="How the key begins, to tell it from others.", examples=["avk_live_5f0e6c1e"])
    scopes: list[Scope] = Field(description="What it may do: read tasks, make and change them, or both.")
    test_mode: bool = Field(description="Whether what it makes never reaches an agent and ends as asked for.")
    created_at: datetime = Field(examples=["2026-11-22T18:54:08Z"])
    expires_at: datetime | None = Field(description="When it stops working; null for never.", examples=[None])
    last_used_at: datetime | None = Field(description="To the minute; null before the first use.", examples=[None])
    revoked_at: datetime | None = Field(description="Since when it does not work any more.", examples=[None])


class OwnedApiKey(ApiKey):
    user_email: str | None = Field(description="Whose key it is; null for an outside system of its own.")


class NewApiKey(ApiKey):
    key: str = Field(
        description="The secret, for the header `X-API-Key`. It is shown here once and kept nowhere.",
        examples=["avk_live_5f0e6c1e_Zx8Yb0mXq2vT5nKc7JwLr4dHs1fGpAeUoIiVtBzQyMk"],
    )


@dataclass(frozen=True)
class KeyHolder:
    user_id: int | None
    api_key_id: int
    scopes: list[str]


def create(
    conn: Connection[DictRow],
    *,
    name: str,
    user_id: int | None,
    lifetime: timedelta | None,
    scopes: Sequence[Scope] = SCOPES,
    test_mode: bool = False,
) -> NewApiKey:
    """Make a key of 256 random bits, for a user or, without one, for an outside system of its own.

    Raises UserGone or TooManyApiKeys.
    """
    if user_id is not None:
        _make_room(conn, user_id)
    prefix = (TEST_PREFIX if test_mode else LIVE_PREFIX) + secrets.token_hex(4)
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = conn.execute(
        """
        INSERT INTO api_keys (user_id, name, prefix, secret_hash, expires_at, scopes, test_mode)
        VALUES (%s, %s, %s, %s, now() + %s, %s, %s) RETURNING *
        """,
        (user_id, name, prefix, _hash(key), lifetime, sorted(set(scopes)), test_mode),
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    return NewApiKey(key=key, **row)


def of_user(conn: Connection[DictRow], user_id: int | None) -> list[ApiKey]:
    """The keys of a user, those that work first, then the last that ended; newest first. Raises UserGone."""
    rows = conn.execute(
        """
        SELECT k.* FROM users u LEFT JOIN api_keys k ON k.user_id = u.id
        WHERE u.id = %s AND u.disabled_at IS NULL
        ORDER BY k.revoked_at IS NULL AND coalesce(k.expires_at > now(), true) DESC, k.id DESC LIMIT %s
        """,
        (user_id, MOST_LIVE_KEYS + ENDED_KEYS_LISTED),
    ).fetchall()
    if not rows:
        raise UserGone
    return [ApiKey.model_validate(row) for row in rows if row["id"] is not None]


def of_anybody(conn: Connection[DictRow], *, user_id: int | None) -> list[OwnedApiKey]:
    """For operators: all keys of one user, or of everybody and of outside systems; oldest first."""
    rows = conn.execute(
        """
        SELECT k.*, u.email AS user_email FROM api_keys k LEFT JOIN users u ON u.id = k.user_id
        WHERE %(user_id)s::bigint IS NULL OR k.user_id = %(user_id)s ORDER BY k.id
        """,
        {"user_id": user_id},
    ).fetchall()
    return [OwnedApiKey.model_validate(row) for row in rows]


def revoke(conn: Connection[DictRow], key_id: str, *, user_id: int | None) -> None:
    """End a key of a user; one that was revoked stays as it is. Raises UserGone or ApiKeyNotFound."""
    users.lock(conn, user_id)
    _end(conn, key_id, user_id)


def revoke_any(conn: Connection[DictRow], key_id: str) -> None:
    """For operators: end a key, whosever it is. Raises ApiKeyNotFound."""
    _end(conn, key_id, None)


def verify(conn: Connection[DictRow], key: str) -> KeyHolder | None:
    """Who holds this key; None when it is unknown, expired, revoked or its user is disabled.

    It is looked up by its hash, so the time taken says nothing about how much of a guess was right.
    """
    row = conn.execute(
        """
        SELECT k.id, k.user_id, k.scopes, k.last_used_at > now() - %s AS is_marked
        FROM api_keys k LEFT JOIN users u ON u.id = k.user_id
        WHERE k.secret_hash = %s AND k.revoked_at IS NULL AND u.disabled_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > now())
        """,
        (LAST_USED_RESOLUTION, _hash(key)),
    ).fetchone()
    if row is None:
        return None
    if not row["is_marked"]:
        conn.execute("UPDATE api_keys SET last_used_at = now() WHERE id = %s", (row["id"],))
    return KeyHolder(user_id=row["user_id"], api_key_id=row["id"], scopes=row["scopes"])


def _make_room(conn: Connection[DictRow], user_id: int) -> None:
    """Under the lock of the user's row, so that two at once do not both find the last place."""
    users.lock(conn, user_id)
    row = conn.execute(
        """
        SELECT count(*) AS live FROM api_keys
        WHERE user_id = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        """,
        (user_id,),
    ).fetchone()
    assert row is not None  # count(*) is one row
    if row["live"] >= MOST_LIVE_KEYS:
        raise TooManyApiKeys


def _end(conn: Connection[DictRow], key_id: str, user_id: int | None) -> None:
    if not re.fullmatch("[0-9]{1,19}", key_id) or int(key_id) >= 2**63:
        raise ApiKeyNotFound
    ended = conn.execute(
        """
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())
        WHERE id = %(id)s AND (%(user_id)s::bigint IS NULL OR user_id = %(user_id)s)
        """,
        {"id": int(key_id), "user_id": user_id},
    )
    if ended.rowcount == 0:
        raise ApiKeyNotFound


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
