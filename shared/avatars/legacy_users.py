"""Users of the old system: who becomes a user here, with which name, e-mail and password."""

import hashlib
import re
import secrets

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import legacy, passwords, users
from avatars.legacy import Note, Outcome, Taken
from avatars.legacy_rows import OldUser

BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
BCRYPT_COSTS = range(4, passwords.MAX_BCRYPT_ROUNDS + 1)
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
NAME_LENGTH = 100


def key_of(email: str) -> str:
    """What is remembered of somebody's e-mail, also after the person has gone."""
    return hashlib.sha256(email.encode()).hexdigest()


def take_over(conn: Connection[DictRow], old: OldUser, *, adopt: bool) -> Outcome:
    """Make this user, unless that was done before. Of two whose e-mails differ in case alone the lower id comes first.

    An account that has registered here by itself is another's until proven: `adopt` says that it is the same person.
    """
    email = users.findable_email(old.email)
    if len(email) > users.EMAIL_LENGTH or not EMAIL.fullmatch(email):
        return legacy.skipped("EMAIL_INVALID", "nobody can sign in with this e-mail")
    known = legacy.recall(conn, "user", [key_of(email)]).get(key_of(email))
    if known is not None and known.legacy_id != old.id:
        return legacy.skipped("EMAIL_COLLISION", f"the same e-mail, but for its case, as old user {known.legacy_id}")
    if known is not None:
        return legacy.PRESENT
    registered = _registered(conn, email)
    if registered is not None and not adopt:
        return legacy.skipped("EMAIL_TAKEN", "somebody has registered here with this e-mail; see --adopt-accounts")
    if registered is not None:
        legacy.remember(conn, "user", key_of(email), Taken(old.id, registered))
        return legacy.PRESENT
    return _insert(conn, old, email)


def _registered(conn: Connection[DictRow], email: str) -> int | None:
    row = conn.execute("SELECT id FROM users WHERE lower(email) = lower(%s)", (email,)).fetchone()
    return None if row is None else int(row["id"])


def _insert(conn: Connection[DictRow], old: OldUser, email: str) -> Outcome:
    notes = []
    password_hash = old.password_hash
    if not _is_verifiable(password_hash):
        password_hash = passwords.hash_of(secrets.token_urlsafe(32))
        notes.append(Note("PASSWORD_UNUSABLE", "not a bcrypt hash we verify: the person needs a new password"))
    if len(old.name) > NAME_LENGTH:
        notes.append(Note("NAME_CUT", f"the name had more than {NAME_LENGTH} characters"))
    row = conn.execute(
        """
        INSERT INTO users (id, name, email, password_hash, created_at) OVERRIDING SYSTEM VALUE
        VALUES (
            CASE WHEN %(id)s::bigint IS NULL OR EXISTS (SELECT FROM users WHERE id = %(id)s)
                 THEN nextval(pg_get_serial_sequence('users', 'id')) ELSE %(id)s END,
            %(name)s, %(email)s, %(password_hash)s, coalesce(%(created_at)s, now()))
        RETURNING id
        """,
        {
            "id": legacy.kept_id(old.id),
            "name": (old.name or email.partition("@")[0])[:NAME_LENGTH].strip(),
            "email": email,
            "password_hash": password_hash,
            "created_at": old.created_at,
        },
    ).fetchone()
    assert row is not None  # RETURNING of one INSERT
    if row["id"] != old.id:
        notes.append(Note("ID_CHANGED", f"the id was not free: {row['id']} now"))
    legacy.remember(conn, "user", key_of(email), Taken(old.id, row["id"]))
    return Outcome("imported", tuple(notes))


def _is_verifiable(password_hash: str) -> bool:
    match = BCRYPT.fullmatch(password_hash)
    return match is not None and int(match[1]) in BCRYPT_COSTS
