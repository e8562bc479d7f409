"""Passwords: hashed whole, verified in the same time whatever is wrong."""

import time
from collections.abc import Callable

import bcrypt
import pytest
from passlib.hash import argon2  # type: ignore[import-untyped]  # libpass ships no types

from avatars import passwords

LEGACY_ROUNDS = 8  # 20 ms, about as long as argon2 takes


def legacy(password: str) -> str:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(LEGACY_ROUNDS)).decode()


def verify(password: str, stored: str | None, legacy_rounds: int | None = None) -> passwords.Verdict:
    return passwords.verify(password, stored, legacy_rounds=legacy_rounds)


def test_two_hashes_of_one_password_differ_and_both_fit() -> None:
    first, second = passwords.hash_of("correct horse"), passwords.hash_of("correct horse")
    assert first != second
    assert verify("correct horse", first) == verify("correct horse", second) == passwords.Verdict(matches=True)


@pytest.mark.parametrize("password", ["x" * 256, "pässwörd🔑", "with\0nul", " spaces "])
def test_every_character_counts(password: str) -> None:
    stored = passwords.hash_of(password)
    assert verify(password, stored).matches
    for other in (password[:-1], password + " ", password.upper().swapcase() + "x", password.strip("x ") + "y"):
        assert not verify(other, stored).matches


def test_an_old_hash_fits_by_its_first_72_bytes_and_is_replaced_by_one_of_the_whole() -> None:
    verdict = verify("x" * 80, legacy("x" * 80))
    assert verdict.matches
    assert verdict.rehashed is not None
    assert verify("x" * 80, verdict.rehashed).matches
    assert not verify("x" * 79, verdict.rehashed).matches


def test_an_old_hash_is_cut_inside_a_character_as_the_old_system_did() -> None:
    assert verify("x" * 71 + "é", legacy("x" * 71 + "é")).matches


def test_a_nul_fits_no_old_hash() -> None:
    assert not verify("a\0b", legacy("a b")).matches


def test_a_weaker_argon2_is_replaced() -> None:
    weak = argon2.using(type="ID", memory_cost=8192, rounds=1, parallelism=1).hash("correct horse")
    verdict = verify("correct horse", weak)
    assert verdict.rehashed is not None
    assert verdict.rehashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_broken_hash_of_our_own_is_not_a_wrong_password() -> None:
    with pytest.raises(ValueError, match="hash"):
        verify("correct horse", "nonsense")


def cpu_seconds(action: Callable[[], object]) -> float:
    """The least of a few: what the action itself costs, on a busy machine too."""
    least = float("inf")
    for _ in range(5):
        begun = time.process_time()
        action()
        least = min(least, time.process_time() - begun)
    return least


@pytest.mark.parametrize("legacy_rounds", [None, LEGACY_ROUNDS])
def test_every_refusal_costs_the_same(legacy_rounds: int | None) -> None:
    stored: list[str | None] = [None, passwords.hash_of("correct horse")]
    stored += [legacy("correct horse")] if legacy_rounds else []
    verify("wrong", legacy("correct horse"), LEGACY_ROUNDS)  # loads what is loaded once
    costs = [cpu_seconds(lambda known=known: verify("wrong", known, legacy_rounds)) for known in stored]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert max(costs) < 1.4 * min(costs)
