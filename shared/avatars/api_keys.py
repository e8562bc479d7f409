"""API keys of outside systems: shown once, kept as a hash, owners of the tasks they create."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from psycopg import Connection
from psycopg.rows import DictRow

PREFIX = "avk_live_"
LAST_USED_RESOLUTION = timedelta(minutes=1)


@dataclass(frozen=True)
class CreatedKey:
    """`key` is the whole secret: it is never to be seen again."""

    id: int
    key: str
    prefix: str


@dataclass(frozen=True)
class KeyHolder:
    user_id: int | None
    api_key_id: int
    scopes: list[str]


def create(conn: Connection[DictRow], *, name: str, user_id: int | None, lifetime: timedelta | None) -> CreatedKey:
    """Make a key of 256 random bits, for a user or, without one, for an outside system of its own."""
    prefix = PREFIX + secrets.token_hex(4)
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = conn.execute(
        """
        INSERT INTO api_keys (user_id, name, prefix, secret_hash, expires_at)
        VALUES (%s, %s, %s, %s, now() + %s) RETURNING id
        """,
        (user_id, name, prefix, _hash(key), lifetime),
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    return CreatedKey(id=row["id"], key=key, prefix=prefix)


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


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()
