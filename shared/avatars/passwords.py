"""Passwords: argon2id over the whole of them; bcrypt of the old system is verified once more, then replaced."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Annotated, ClassVar, TypeVar

from passlib.context import CryptContext  # type: ignore[import-untyped]  # libpass ships no types
from passlib.hash import argon2, bcrypt  # type: ignore[import-untyped]  # libpass ships no types
from pydantic import Field, SecretStr

from avatars.refusals import Refusal

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
AT_ONCE = 4
WAIT_SECONDS = 3.0
# The dearest hashes that are verified: a stored row must not decide how much memory and time a sign-in takes.
MAX_MEMORY_KIB, MAX_ARGON2_ROUNDS, MAX_PARALLELISM = 65_536, 8, 8
MAX_BCRYPT_ROUNDS = 14

# Accounts of the old system may have passwords that could not be chosen today.
PasswordToCheck = Annotated[SecretStr, Field(max_length=1024)]
PasswordToSet = Annotated[SecretStr, Field(min_length=8, max_length=256)]

T = TypeVar("T")
_places = BoundedSemaphore(AT_ONCE)
_hashers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hash")  # malloc keeps 19 MiB for every thread that hashed


class Busy(Refusal):
    """So many passwords are being checked at this moment that the memory for more is not there. Send the request
    again after `Retry-After`."""

    status = 503
    code = "BUSY"
    title = "Too many passwords are being checked at once"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "2"}


class TooExpensive(ValueError):
    """A stored hash asks for more memory or time than any that is made here."""


@dataclass(frozen=True)
class Verdict:
    """Whether the password fits, and the hash to store instead when the stored one is outdated."""

    matches: bool
    rehashed: str | None = None


def hash_of(password: str) -> str:
    """The PHC string to store; takes about 35 ms and 19 MiB on purpose. Raises Busy."""
    return _in_turn(lambda: _hash(password))


def verify(password: str, stored: str | None, *, legacy_rounds: int | None) -> Verdict:
    """Compare with a stored hash, or with none. Raises Busy, and ValueError for a hash that cannot be verified.

    Every refusal costs one argon2 and, while any account still has a bcrypt hash (`legacy_rounds` is their cost),
    one bcrypt: the time tells neither whether the account exists nor how old it is.
    """
    if stored is not None:
        check(stored)
    return _in_turn(lambda: _compared(password, stored, legacy_rounds))


def check(stored: str) -> None:
    """Raises TooExpensive above the ceiling, and ValueError for what is no hash at all."""
    if stored.startswith(BCRYPT_PREFIX):
        is_dear = bcrypt.from_string(stored).rounds > MAX_BCRYPT_ROUNDS
    else:
        known = argon2.from_string(stored)
        asked = (known.memory_cost, known.rounds, known.parallelism)
        limits = (MAX_MEMORY_KIB, MAX_ARGON2_ROUNDS, MAX_PARALLELISM)
        is_dear = any(one > limit for one, limit in zip(asked, limits, strict=True))
    if is_dear:
        raise TooExpensive("a stored password hash is above the ceiling of its cost")


def _in_turn(work: Callable[[], T]) -> T:
    """Do it at one of the few places for hashing in this process. Raises Busy."""
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise Busy
    try:
        return _hashers.submit(work).result()
    finally:
        _places.release()


def _compared(password: str, stored: str | None, legacy_rounds: int | None) -> Verdict:
    is_legacy = stored is not None and stored.startswith(BCRYPT_PREFIX)
    if stored is not None and is_legacy and _verify_bcrypt(password, stored):
        return Verdict(matches=True, rehashed=_hash(password))
    if stored is not None and not is_legacy and CONTEXT.verify(password, stored):
        return Verdict(matches=True, rehashed=_hash(password) if CONTEXT.needs_update(stored) else None)
    if stored is None or is_legacy:
        _hash(password)
    if legacy_rounds is not None and not is_legacy:
        bcrypt.using(rounds=min(legacy_rounds, MAX_BCRYPT_ROUNDS)).hash(_cut(password))
    return Verdict(matches=False)


def _hash(password: str) -> str:
    return str(CONTEXT.hash(password))


def _verify_bcrypt(password: str, stored: str) -> bool:
    return bool(CONTEXT.verify(_cut(password), stored)) and "\0" not in password


def _cut(password: str) -> bytes:
    """What the old system hashed. It took no NUL, so one here only has to cost the same time."""
    return password.encode()[:BCRYPT_BYTES].replace(b"\0", b" ")
