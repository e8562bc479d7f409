"""Users: who they are and how their e-mail is written."""

import unicodedata
from typing import Annotated

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import DictRow
from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from avatars.owners import Owner
from avatars.refusals import Refusal, UserGone

EMAIL_LENGTH = 254


class EmailTaken(Refusal):
    """Somebody is registered under this e-mail, in whatever case it is written. Sign in, or take another e-mail."""

    status = 409
    code = "EMAIL_TAKEN"
    title = "User with this email already exists"


class UserNotFound(Refusal):
    """Nobody is registered under the e-mail an operator gave, or the account is disabled."""

    status = 404
    code = "USER_NOT_FOUND"
    title = "No user has this email"


def canonical_email(value: str) -> str:
    """One spelling per address: without surrounding space, compatibility forms and case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value.strip()).lower())


def deliverable_email(value: str) -> str:
    """The canonical spelling of an address that mail could reach."""
    from email_validator import EmailNotValidError, validate_email  # 50 ms, needed by registration alone

    try:
        address = validate_email(canonical_email(value), check_deliverability=False)
    except EmailNotValidError as error:
        raise PydanticCustomError(
            "value_error", "value is not a valid email address: {reason}", {"reason": str(error)}
        ) from None
    return canonical_email(address.normalized)


def findable_email(value: str) -> str:
    """The spelling under which registration keeps this address; any text that is no address stays as it is."""
    address = canonical_email(value)
    domain = address.rpartition("@")[2]
    if domain.isascii() and "xn--" not in domain:
        return address
    try:
        return deliverable_email(address)
    except PydanticCustomError:
        return address


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
EmailToRegister = Annotated[str, StringConstraints(max_length=EMAIL_LENGTH), AfterValidator(deliverable_email)]
EmailToFind = Annotated[str, StringConstraints(max_length=EMAIL_LENGTH), AfterValidator(findable_email)]


def register(conn: Connection[DictRow], *, name: str, email: str, password_hash: str) -> int:
    """Add a user and return the id. Raises EmailTaken, also to the slower one of two at once."""
    row = conn.execute(
        """
        INSERT INTO users (name, email, password_hash) VALUES (%s, %s, %s)
        ON CONFLICT (lower(email)) DO NOTHING RETURNING id
        """,
        (name, email, password_hash),
    ).fetchone()
    if row is None:
        raise EmailTaken
    return int(row["id"])


def id_of(conn: Connection[DictRow], email: str) -> int:
    """A user who may sign in. Raises UserNotFound."""
    row = conn.execute(
        "SELECT id FROM users WHERE lower(email) = lower(%s) AND disabled_at IS NULL", (email,)
    ).fetchone()
    if row is None:
        raise UserNotFound
    return int(row["id"])


def lock(conn: Connection[DictRow], user_id: int | None) -> DictRow:
    """Take the row for this transaction, before any other row of the user's. Raises UserGone."""
    row = conn.execute(
        "SELECT id, password_version FROM users WHERE id = %s AND disabled_at IS NULL FOR NO KEY UPDATE", (user_id,)
    ).fetchone()
    if row is None:
        raise UserGone
    return row


def hold(conn: Connection[DictRow], owner: Owner) -> None:
    """Keep the owner's user from being erased in this transaction, nothing where there is none. Raises UserGone.

    Whoever locks or makes anything of a user begins with this: an erasure takes the same order.
    """
    query = "SELECT FROM users WHERE id = %s AND disabled_at IS NULL FOR KEY SHARE"
    if owner.user_id is not None and conn.execute(query, (owner.user_id,)).fetchone() is None:
        raise UserGone


def change(conn: Connection[DictRow], user_id: int | None, *, name: str | None, email: str | None) -> None:
    """Change what is given. Raises UserGone, and EmailTaken also to the slower one of two at once."""
    lock(conn, user_id)
    try:
        changed = conn.execute(
            """
            UPDATE users SET name = coalesce(%(name)s, name), email = coalesce(%(email)s, email)
            WHERE id = %(id)s AND NOT EXISTS (
                SELECT FROM users other WHERE lower(other.email) = lower(%(email)s) AND other.id <> %(id)s
            )
            """,  # asked first: two who swap their addresses would only wait for each other's index entry
            {"id": user_id, "name": name, "email": email},
        )
    except UniqueViolation as error:
        raise EmailTaken from error
    if changed.rowcount == 0:
        raise EmailTaken


def profile(conn: Connection[DictRow], owner: Owner) -> DictRow:
    """Name, e-mail and where the photo of the first task is (nulls if none). Raises UserGone."""
    row = conn.execute(
        """
        SELECT u.name, u.email, photo.bucket, photo.object_key
        FROM users u
        LEFT JOIN LATERAL (
            SELECT m.bucket, m.object_key FROM tasks t JOIN media_objects m ON m.id = t.photo_id
            WHERE t.user_id = u.id ORDER BY t.id LIMIT 1
        ) photo ON true
        WHERE u.id = %s AND u.disabled_at IS NULL
        """,
        (owner.user_id,),
    ).fetchone()
    if row is None:
        raise UserGone
    return row
