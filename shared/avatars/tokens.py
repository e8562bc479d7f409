"""Refresh tokens: one family per sign-in, rotated on every use, revoked as a whole when a used one comes back."""

import hashlib
import hmac
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from psycopg import Connection
from psycopg.rows import DictRow
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from avatars import users
from avatars.refusals import Refusal, UserGone

GRACE = timedelta(seconds=15)


class RefreshRefused(Refusal):
    """The refresh token is unknown, expired, revoked or was used before: the answer does not tell which. Sign in
    again."""

    status = 401
    code = "TOKEN_EXPIRED"
    title = "Token expired"


class TokenPair(BaseModel):
    """The two tokens of a session."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"access_token": "eyJhbGciOiJIUzI1NiIs…", "refresh_token": "5fJ0pXq3…"}}
    )

    access_token: str = Field(description="Sent as `access-token` or `Authorization: Bearer`; lives for minutes.")
    refresh_token: str = Field(description="Exchanged once for the next pair; lives for days.")


class Terms(Protocol):
    """What signs refresh tokens and how long a sign-in lasts."""

    @property
    def refresh_secret_key(self) -> SecretStr: ...
    @property
    def refresh_token_expire_minutes(self) -> int: ...


@dataclass(frozen=True)
class Rotation:
    user_id: int
    refresh_token: str


@dataclass(frozen=True)
class Presented:
    """A token that may be exchanged, its family locked. One that is used is in its grace."""

    family: uuid.UUID
    user_id: int
    generation: int
    is_unused: bool


def open_family(conn: Connection[DictRow], *, user_id: int, terms: Terms) -> str:
    """Start a family for one sign-in and return its first token. However often it is used, it ends in time."""
    family = uuid.uuid4()
    conn.execute(
        "INSERT INTO refresh_families (id, user_id, expires_at) VALUES (%s, %s, now() + %s)",
        (family, user_id, timedelta(minutes=terms.refresh_token_expire_minutes)),
    )
    return _add_generation(conn, family, 0, _key(terms))


def rotate(conn: Connection[DictRow], token: str, *, terms: Terms) -> Rotation | None:
    """Exchange a token for its successor; None refuses it.

    The caller must commit either way: a refusal may have revoked the family.
    """
    presented = _present(conn, token)
    if presented is None:
        return None
    if presented.is_unused:
        conn.execute(
            "UPDATE refresh_tokens SET used_at = clock_timestamp() WHERE family = %s AND generation = %s",
            (presented.family, presented.generation),
        )
        successor = _add_generation(conn, presented.family, presented.generation + 1, _key(terms))
    else:
        successor = _derive(presented.family, presented.generation + 1, _key(terms))
    return Rotation(user_id=presented.user_id, refresh_token=successor)


def end_session(conn: Connection[DictRow], token: str) -> None:
    """Revoke the family of this token, used or not; a token of no family ends nothing."""
    conn.execute(
        """
        UPDATE refresh_families SET revoked_at = now()
        WHERE id = (SELECT family FROM refresh_tokens WHERE token_hash = %s) AND revoked_at IS NULL
        """,
        (_hash(token),),
    )


def end_everywhere(conn: Connection[DictRow], token: str) -> bool:
    """Revoke all families of the user whose token this is; False if it could not be exchanged any more.

    The caller must commit either way: a refusal may have revoked the token's own family.
    """
    owner = conn.execute("SELECT user_id FROM refresh_tokens WHERE token_hash = %s", (_hash(token),)).fetchone()
    if owner is None:
        return False
    try:
        users.lock(conn, owner["user_id"])
    except UserGone:
        return False
    if _present(conn, token) is None:
        return False
    end_all(conn, owner["user_id"])
    return True


def end_all(conn: Connection[DictRow], user_id: int) -> None:
    """Revoke every family of a user, whose row the caller holds: that keeps two at once from waiting crosswise."""
    conn.execute("UPDATE refresh_families SET revoked_at = now() WHERE user_id = %s AND revoked_at IS NULL", (user_id,))


def _present(conn: Connection[DictRow], token: str) -> Presented | None:
    """Look at a token and lock its family. None refuses it; one that was used up is stolen, and its family ends."""
    family = conn.execute(
        """
        SELECT f.id, f.user_id FROM refresh_families f JOIN users u ON u.id = f.user_id
        WHERE f.id = (SELECT family FROM refresh_tokens WHERE token_hash = %s)
          AND f.revoked_at IS NULL AND f.expires_at > now() AND u.disabled_at IS NULL
        FOR UPDATE OF f
        """,
        (_hash(token),),
    ).fetchone()
    if family is None:
        return None
    row = conn.execute(  # with the family locked, this reads what the last exchange left
        """
        SELECT t.generation, t.used_at IS NULL AS is_unused,
               t.used_at > clock_timestamp() - %s AND s.used_at IS NULL AS is_in_grace
        FROM refresh_tokens t LEFT JOIN refresh_tokens s ON s.family = t.family AND s.generation = t.generation + 1
        WHERE t.family = %s AND t.token_hash = %s
        """,
        (GRACE, family["id"], _hash(token)),
    ).fetchone()
    if row is None:
        return None
    if not (row["is_unused"] or row["is_in_grace"]):
        conn.execute("UPDATE refresh_families SET revoked_at = now() WHERE id = %s", (family["id"],))
        return None
    return Presented(family["id"], family["user_id"], row["generation"], row["is_unused"])


def _add_generation(conn: Connection[DictRow], family: uuid.UUID, generation: int, key: bytes) -> str:
    token = _derive(family, generation, key)
    conn.execute(
        """
        INSERT INTO refresh_tokens (family, generation, user_id, token_hash, expires_at)
        SELECT id, %s, user_id, %s, expires_at FROM refresh_families WHERE id = %s
        """,
        (generation, _hash(token), family),
    )
    return token


def _key(terms: Terms) -> bytes:
    return terms.refresh_secret_key.get_secret_value().encode()


def _derive(family: uuid.UUID, generation: int, key: bytes) -> str:
    """Nothing needs to be stored to give the same successor twice."""
    digest = hmac.digest(key, family.bytes + generation.to_bytes(4, "big"), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
