"""Which keys are still needed, found by looking at everything in a store."""

from __future__ import annotations

import base64

import msgspec
import pytest

from engine.clock import SeededClock
from engine.reseal import Resealing, reseal_store
from engine.seal import MasterKey, Sealer
from engine.store import (
    CatalogueRow,
    Claim,
    Commit,
    Event,
    MemoryStore,
    Snapshot,
    open_memory,
)

OLD, NEW = MasterKey(b"o" * 32), MasterKey(b"n" * 32)
SEALED = Sealer((OLD,), SeededClock()).seal(b"secret", place="somewhere")
ROW = CatalogueRow(owner="o", status="active", created_at_ms=0, updated_at_ms=0)


async def nothing(_: Resealing) -> int:
    return 0


async def needed(store: MemoryStore, *kinds: str) -> dict[str, list[str]]:
    clock = SeededClock()
    work = Resealing(store=store, sealer=Sealer((NEW, OLD), clock), epoch=9, clock=clock)
    done = await reseal_store(work, dict.fromkeys(kinds, nothing), (OLD,))
    return {key_id: list(kinds) for key_id, kinds in done.needed.items()}


def an_event(body: bytes) -> Event:
    return Event(seq=1, type="it.happened", at_ms=0, body=body)


PLACES = {
    "a snapshot": {"snapshot": Snapshot(seq=0, body=SEALED)},
    "a snapshot of JSON": {"snapshot": Snapshot(seq=0, body=msgspec.json.encode({"s": SEALED}))},
    "a summary": {"row": msgspec.structs.replace(ROW, summary=b"before" + SEALED)},
    "a tag": {"row": msgspec.structs.replace(ROW, tags={"t": base64.b64encode(SEALED).decode()})},
    "an alias": {"claims": [Claim(alias="a", payload=SEALED)]},
    "a raw event": {"events": [an_event(SEALED)]},
    "an event of JSON": {"events": [an_event(msgspec.json.encode({"d": {"s": SEALED}}))]},
    "an event in hex": {"events": [an_event(msgspec.json.encode({"s": SEALED.hex()}))]},
    "a url-safe event": {"events": [an_event(b'"' + base64.urlsafe_b64encode(SEALED) + b'"')]},
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_key_is_needed_wherever_a_text_of_it_stands(place: str) -> None:
    async with open_memory(clock=SeededClock()) as store:
        epoch = await store.begin_epoch()
        commit = Commit(stream="kind/1", epoch=epoch, expected_seq=0, row=ROW)
        await store.commit(msgspec.structs.replace(commit, **PLACES[place]))
        assert await needed(store, "kind") == {OLD.key_id: ["kind"]}


async def test_a_key_without_texts_is_not_needed() -> None:
    sealed = Sealer((NEW, OLD), SeededClock()).seal(b"secret", place="somewhere")
    async with open_memory(clock=SeededClock()) as store:
        epoch = await store.begin_epoch()
        snapshot = Snapshot(seq=0, body=sealed)
        await store.commit(
            Commit(stream="kind/1", epoch=epoch, expected_seq=0, row=ROW, snapshot=snapshot)
        )
        assert await needed(store, "kind") == {}


async def test_a_kind_that_nobody_answers_for_needs_every_key() -> None:
    """It may have written digests, which nothing tells from other text."""
    async with open_memory(clock=SeededClock()) as store:
        epoch = await store.begin_epoch()
        await store.commit(Commit(stream="other/1", epoch=epoch, expected_seq=0, row=ROW))
        assert await needed(store, "kind") == {OLD.key_id: ["other"]}
        assert await needed(store, "kind", "other") == {}
