"""Aliases that carry an answer and expire: what idempotency keys are made of."""

from __future__ import annotations

import pytest

from engine.errors import AliasTaken
from engine.store import Claim, Store
from tests.engine.store.parts import Backend, commit


async def test_an_alias_is_free_from_the_moment_it_expires(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        await store.commit(commit("note/1", claims=[Claim(alias="a", expires_at_ms=1000)]))
        backend.clock.now_ms = 999
        assert await store.resolve("a") is not None
        with pytest.raises(AliasTaken):
            await store.commit(commit("note/2", claims=[Claim(alias="a")]))
        backend.clock.now_ms = 1000
        assert await store.resolve("a") is None
        await store.commit(commit("note/2", claims=[Claim(alias="a")]))
        alias = await store.resolve("a")
        assert alias is not None
        assert alias.stream == "note/2"


async def test_its_holder_replaces_payload_and_expiry(store: Store) -> None:
    await store.commit(commit(claims=[Claim(alias="a", payload=b"1", expires_at_ms=1000)]))
    await store.commit(commit(seq=1, claims=[Claim(alias="a", payload=b"2")]))
    alias = await store.resolve("a")
    assert alias is not None
    assert (alias.payload, alias.expires_at_ms) == (b"2", None)


async def test_a_key_and_its_answer_are_durable_together_with_the_work(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        key = Claim(alias="key/note/1/k", payload=b'{"messageId":"m1"}', expires_at_ms=86_400_000)
        await store.commit(commit(claims=[key]))
    async with backend.open() as store:
        alias = await store.resolve("key/note/1/k")
        assert alias is not None
        assert alias.payload == b'{"messageId":"m1"}'


async def test_expired_aliases_are_forgotten_in_bounded_steps(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        claims = [Claim(alias=f"a{number}", expires_at_ms=number) for number in range(1, 31)]
        await store.commit(commit(claims=[*claims, Claim(alias="forever")]))
        backend.clock.now_ms = 20
        assert await store.forget_expired(limit=15) == 15
        assert await store.forget_expired(limit=15) == 5
        assert await store.forget_expired(limit=15) == 0
        assert await store.resolve("a21") is not None
        assert await store.resolve("forever") is not None


async def test_aliases_differ_by_every_letter(store: Store) -> None:
    names = ["a", "A", "a ", "ä", "a\u0308", "a%", "a_"]
    for number, name in enumerate(names):
        await store.commit(commit(f"note/{number}", claims=[Claim(alias=name)]))
    for number, name in enumerate(names):
        alias = await store.resolve(name)
        assert alias is not None
        assert alias.stream == f"note/{number}"
