"""Hashing: in few threads, never on the loop, and as slow for nobody as for somebody."""

from __future__ import annotations

import threading
from contextlib import AbstractAsyncContextManager
from typing import Any

import argon2
import pytest
import trio

from actors.partner import FieldInvalid, RateLimited
from actors.partner.tenants.passwords import Cost, Passwords, check_password, open_passwords
from engine import SystemClock

CHEAP = Cost(passes=1, memory_kib=8)
GOOD = "correct horse battery"


def passwords(**options: Any) -> AbstractAsyncContextManager[Passwords]:
    return open_passwords(SystemClock(), cost=CHEAP, **options)


async def test_a_hash_is_argon2id_and_its_passwords_only() -> None:
    async with passwords() as it:
        hashed = await it.hash(GOOD)
        assert hashed.startswith("$argon2id$v=19$")
        assert await it.verify(hashed, GOOD)
        assert not await it.verify(hashed, GOOD + "x")
        assert not await it.verify("no hash", GOOD)
        assert not await it.verify(hashed, "x" * 100_000)
        assert not await it.verify(hashed, "\ud800")


def test_the_default_cost_is_owasps() -> None:
    assert Cost() == Cost(passes=2, memory_kib=19_456, lanes=1)


async def test_a_letter_is_the_same_however_it_is_composed() -> None:
    async with passwords() as it:
        assert await it.verify(await it.hash("caf\u00e9" * 4), "cafe\u0301" * 4)


async def test_an_account_that_does_not_exist_is_hashed_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs = []
    genuine = argon2.PasswordHasher.verify

    def verify(self: Any, hashed: str, password: str) -> bool:
        costs.append(argon2.extract_parameters(hashed))
        return genuine(self, hashed, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)
    async with passwords() as it:
        await it.warm()
        hashed = await it.hash(GOOD)
        assert not await it.verify(hashed, "wrong password")
        assert not await it.verify(None, "wrong password")
        assert not await it.verify(hashed, "x" * 100_000)
        assert not await it.verify(None, "x" * 100_000)
    assert costs == costs[:1] * 4


class Held:
    """Stands in for argon2: begins, and goes on when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.threads: set[int] = set()
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, *_: Any) -> bool:
        with self._lock:
            self.threads.add(threading.get_ident())
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.let.wait(10)
        with self._lock:
            self.at_once -= 1
        return False


async def test_few_hash_at_once_few_wait_and_the_rest_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held()
    monkeypatch.setattr(argon2.PasswordHasher, "verify", held)
    outcomes: list[bool | None] = []

    async def guess(it: Passwords) -> None:
        try:
            outcomes.append(await it.verify("$argon2id$", "guess"))
        except RateLimited:
            outcomes.append(None)

    async with passwords(threads=2, waiting=3) as it, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(guess, it)
        with trio.fail_after(40):
            while held.at_once < 2 or outcomes.count(None) < 15:
                await trio.lowlevel.checkpoint()
        # The loop is free meanwhile: this very task runs.
        assert outcomes == [None] * 15
        held.let.set()
    assert outcomes == [None] * 15 + [False] * 5
    assert held.most == 2
    assert threading.get_ident() not in held.threads


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 257, "a\0" * 8, "\ud800" * 12])
def test_a_password_that_is_too_short_too_long_or_no_text_is_refused(password: str) -> None:
    with pytest.raises(FieldInvalid, match=r"^password: ") as refused:
        check_password(password)
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize("password", ["twelve chars", "x" * 256, "🔑" * 12])
def test_any_other_is_taken(password: str) -> None:
    check_password(password)
