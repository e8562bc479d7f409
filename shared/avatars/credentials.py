"""Proving who one is: a password against the stored hash, in the same time whatever is wrong with it."""

from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import DictRow

from avatars import passwords, users
from avatars.owners import Owner
from avatars.refusals import Refusal, UserGone


class WrongCredentials(Refusal):
    """The e-mail is unknown or the password is wrong: one refusal for both, in the same time."""

    status = 400
    code = "WRONG_CREDENTIALS"
    title = "Wrong email or password"


class WrongPassword(Refusal):
    """The current password, which this change needs beside the access token, is missing or wrong. Ask the person
    for it again."""

    status = 400
    code = "WRONG_PASSWORD"
    title = "Wrong password"


@dataclass(frozen=True)
class Account:
    """What is needed to check a password; all None when nobody has that e-mail."""

    user_id: int | None
    password_hash: str | None
    password_version: int | None
    legacy_rounds: int | None


@dataclass(frozen=True)
class Authenticated:
    """Who knew the password, which of the account's passwords it was, and the hash to store instead if any."""

    user_id: int
    password_version: int
    rehashed: str | None = None


def find_account(conn: Connection[DictRow], email: str) -> Account:
    """The account to sign in to, and the cost of the bcrypt hashes that remain anywhere."""
    row = conn.execute(
        """
        SELECT u.id, u.password_hash, u.password_version, legacy.rounds
        FROM (
            SELECT max(substr(password_hash, 5, 2))::int AS rounds FROM users WHERE password_hash LIKE '$2_$%%'
        ) legacy
        LEFT JOIN users u ON lower(u.email) = lower(%s) AND u.disabled_at IS NULL
        """,
        (email,),
    ).fetchone()
    assert row is not None  # an aggregate is one row
    return Account(row["id"], row["password_hash"], row["password_version"], row["rounds"])


def account_of(conn: Connection[DictRow], owner: Owner) -> Account:
    """The account of who is signed in. A wrong password tells nothing here, so its cost does not matter.

    Raises UserGone.
    """
    row = conn.execute(
        "SELECT id, password_hash, password_version FROM users WHERE id = %s AND disabled_at IS NULL",
        (owner.user_id,),
    ).fetchone()
    if row is None:
        raise UserGone
    return Account(row["id"], row["password_hash"], row["password_version"], legacy_rounds=None)


def authenticate(account: Account, password: str) -> Authenticated:
    """Check a password, outside any transaction because it is slow on purpose. Raises WrongCredentials and Busy."""
    verdict = passwords.verify(password, account.password_hash, legacy_rounds=account.legacy_rounds)
    if account.user_id is None or account.password_version is None or not verdict.matches:
        raise WrongCredentials
    return Authenticated(account.user_id, account.password_version, verdict.rehashed)


def confirm(account: Account, password: str) -> Authenticated:
    """The same for somebody who is signed in. Raises WrongPassword and Busy."""
    try:
        return authenticate(account, password)
    except WrongCredentials:
        raise WrongPassword from None


def admit(conn: Connection[DictRow], user: Authenticated) -> bool:
    """Whether what was proved still holds, which it then does until the transaction ends.

    False when the password was changed or the account disabled since: treat the password as wrong. An outdated hash
    is replaced.
    """
    try:
        known = users.lock(conn, user.user_id)
    except UserGone:
        return False
    if known["password_version"] != user.password_version:
        return False
    if user.rehashed is not None:
        conn.execute("UPDATE users SET password_hash = %s WHERE id = %s", (user.rehashed, user.user_id))
    return True


def set_password(conn: Connection[DictRow], user_id: int, password_hash: str) -> None:
    """Store another password; who still checks the one before is not admitted any more."""
    conn.execute(
        "UPDATE users SET password_hash = %s, password_version = password_version + 1 WHERE id = %s",
        (password_hash, user_id),
    )
