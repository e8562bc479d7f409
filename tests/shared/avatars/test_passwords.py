"""Passwords: hashed whole, verified in the same time whatever is wrong."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

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


def cpu_seconds(actions: Sequence[Callable[[], object]], *, rounds: int) -> list[float]:
    """The least of many, taken in turns: what each action itself costs, on a machine that is busy now and then too."""
    least = [float("inf")] * len(actions)
    for _ in range(rounds):
        for place, action in enumerate(actions):
            begun = time.process_time()
            action()
            least[place] = min(least[place], time.process_time() - begun)
    return least


@pytest.mark.parametrize("legacy_rounds", [None, LEGACY_ROUNDS])
def test_every_refusal_costs_the_same(legacy_rounds: int | None) -> None:
    stored: list[str | None] = [None, passwords.hash_of("correct horse")]
    stored += [legacy("correct horse")] if legacy_rounds else []
    verify("wrong", legacy("correct horse"), LEGACY_ROUNDS)  # loads what is loaded once
    costs = cpu_seconds([partial(verify, "wrong", known, legacy_rounds) for known in stored], rounds=12)
    assert max(costs) < 1.4 * min(costs)


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=4194304,t=2,p=1$YWJjZGVmZ2g$YWJjZGVmZ2hpamtsbW5vcA",
        "$argon2id$v=19$m=19456,t=1000,p=1$YWJjZGVmZ2g$YWJjZGVmZ2hpamtsbW5vcA",
        "$argon2id$v=19$m=19456,t=2,p=200$YWJjZGVmZ2g$YWJjZGVmZ2hpamtsbW5vcA",
        "$2b$20$abcdefghijklmnopqrstuuLbPbHBnZuKCrPjvgF8Y6T9sQkZTDN3m",
    ],
)
def test_a_stored_hash_cannot_make_its_verification_dear(stored: str) -> None:
    begun = time.process_time()
    with pytest.raises(passwords.TooExpensive):
        verify("correct horse", stored)
    assert time.process_time() - begun < 1


def test_a_dear_hash_elsewhere_does_not_make_every_refusal_dear() -> None:
    begun = time.process_time()
    verify("wrong", None, legacy_rounds=31)  # would take a day
    assert time.process_time() - begun < 10


class Hasher:
    """Counts how many hash at once, and holds them until let go."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.lock, self.go = threading.Lock(), threading.Event()
        self.full = threading.Event()

    def __call__(self, password: str) -> str:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside == passwords.AT_ONCE:
                self.full.set()
        assert self.go.wait(30)
        with self.lock:
            self.inside -= 1
        return "hash"


@pytest.fixture
def hasher(monkeypatch: pytest.MonkeyPatch) -> Hasher:
    hasher = Hasher()
    monkeypatch.setattr(passwords, "_hash", hasher)
    return hasher


def test_a_process_hashes_few_passwords_at_once_and_the_others_wait(hasher: Hasher) -> None:
    with ThreadPoolExecutor(12) as pool:
        hashing = [pool.submit(passwords.hash_of, "correct horse") for _ in range(6)]
        verifying = [pool.submit(verify, "correct horse", None) for _ in range(6)]
        assert hasher.full.wait(30)
        hasher.go.set()
        assert {one.result(30) for one in hashing} == {"hash"}
        assert not any(one.result(30).matches for one in verifying)
    assert hasher.most == passwords.AT_ONCE


def test_who_waits_too_long_for_a_place_is_sent_away(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.05)
    with ThreadPoolExecutor(passwords.AT_ONCE) as pool:
        hashing = [pool.submit(passwords.hash_of, "correct horse") for _ in range(passwords.AT_ONCE)]
        assert hasher.full.wait(30)
        with pytest.raises(passwords.Busy):
            passwords.hash_of("correct horse")
        with pytest.raises(passwords.Busy):
            verify("correct horse", passwords.CONTEXT.hash("correct horse"))
        hasher.go.set()
        assert [one.result(30) for one in hashing] == ["hash"] * passwords.AT_ONCE


def test_a_place_is_given_back_whatever_happens_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(password: str) -> str:
        raise MemoryError

    monkeypatch.setattr(passwords, "_hash", fail)
    for _ in range(passwords.AT_ONCE + 1):
        with pytest.raises(MemoryError):
            passwords.hash_of("correct horse")
    monkeypatch.undo()
    assert passwords.hash_of("correct horse").startswith("$argon2id$")
