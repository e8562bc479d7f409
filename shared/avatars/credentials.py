"""Signing in: an e-mail and a password against the stored hash, in the same time whatever is wrong with them."""

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import passwords
from avatars.refusals import Refusal


class WrongCredentials(Refusal):
    """One refusal for an unknown e-mail and a wrong password."""

    status = 400
    code = "WRONG_CREDENTIALS"
    title = "Wrong email or password"


@dataclass(frozen=True)
class Account:
    """What is needed to check a password; all None when nobody has that e-mail."""

    user_id: int | None
    password_hash: str | None
    legacy_rounds: int | None


@dataclass(frozen=True)
class Authenticated:
    user_id: int
    outdated_hash: str | None = None
    rehashed: str | None = None


def find_account(conn: Connection[DictRow], email: str) -> Account:
    """The account to sign in to, and the cost of the bcrypt hashes that remain anywhere."""
    row = conn.execute(
        """
        SELECT u.id, u.password_hash, legacy.rounds
        FROM (
            SELECT max(substr(password_hash, 5, 2))::int AS rounds FROM users WHERE password_hash LIKE '$2_$%%'
        ) legacy
        LEFT JOIN users u ON lower(u.email) = lower(%s) AND u.disabled_at IS NULL
        """,
        (email,),
    ).fetchone()
    assert row is not None  # an aggregate is one row
    return Account(user_id=row["id"], password_hash=row["password_hash"], legacy_rounds=row["rounds"])


def authenticate(account: Account, password: str) -> Authenticated:
    """Check a password, outside any transaction because it is slow on purpose. Raises WrongCredentials."""
    verdict = passwords.verify(password, account.password_hash, legacy_rounds=account.legacy_rounds)
    if account.user_id is None or not verdict.matches:
        raise WrongCredentials
    return Authenticated(account.user_id, account.password_hash, verdict.rehashed)


def replace_outdated_hash(conn: Connection[DictRow], user: Authenticated) -> None:
    """Store the new hash, unless the password was changed meanwhile."""
    if user.rehashed is not None:
        conn.execute(
            "UPDATE users SET password_hash = %s WHERE id = %s AND password_hash = %s",
            (user.rehashed, user.user_id, user.outdated_hash),
        )
