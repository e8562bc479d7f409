"""Passwords: argon2id over the whole of them; bcrypt of the old system is verified once more, then replaced."""

from dataclasses import dataclass

from passlib.context import CryptContext  # type: ignore[import-untyped]  # libpass ships no types
from passlib.hash import bcrypt  # type: ignore[import-untyped]  # libpass ships no types

CONTEXT = CryptContext(
    schemes=["argon2", "bcrypt"],
    deprecated=["bcrypt"],
    argon2__type="ID",
    argon2__memory_cost=19_456,
    argon2__time_cost=2,
    argon2__parallelism=1,
)
BCRYPT_PREFIX = "$2"
BCRYPT_BYTES = 72  # where the old system cut every password
MAX_LENGTH = 256


@dataclass(frozen=True)
class Verdict:
    """Whether the password fits, and the hash to store instead when the stored one is outdated."""

    matches: bool
    rehashed: str | None = None


def hash_of(password: str) -> str:
    """The PHC string to store; takes about 35 ms and 19 MiB on purpose."""
    return str(CONTEXT.hash(password))


def verify(password: str, stored: str | None, *, legacy_rounds: int | None) -> Verdict:
    """Compare with a stored hash, or with none.

    Every refusal costs one argon2 and, while any account still has a bcrypt hash (`legacy_rounds` is their cost),
    one bcrypt: the time tells neither whether the account exists nor how old it is.
    """
    is_legacy = stored is not None and stored.startswith(BCRYPT_PREFIX)
    if stored is not None and is_legacy and _verify_bcrypt(password, stored):
        return Verdict(matches=True, rehashed=hash_of(password))
    if stored is not None and not is_legacy and CONTEXT.verify(password, stored):
        return Verdict(matches=True, rehashed=hash_of(password) if CONTEXT.needs_update(stored) else None)
    if stored is None or is_legacy:
        CONTEXT.hash(password)
    if legacy_rounds is not None and not is_legacy:
        bcrypt.using(rounds=legacy_rounds).hash(_cut(password))
    return Verdict(matches=False)


def _verify_bcrypt(password: str, stored: str) -> bool:
    return bool(CONTEXT.verify(_cut(password), stored)) and "\0" not in password


def _cut(password: str) -> bytes:
    """What the old system hashed. It took no NUL, so one here only has to cost the same time."""
    return password.encode()[:BCRYPT_BYTES].replace(b"\0", b" ")
