"""Sealing anew what older master keys have sealed, so that those can go.

Each family of sessions knows what it has sealed and where; a `Reseal` of its own does that work.
What no family has told of is found by a scan: a sealed text begins with the id of its key, raw or
written as JSON writes bytes, wherever in the store it stands.

Laws of this file: everything can be cut off at any moment and done again; what is current is left
alone; a key counts as needed until the scan of the whole store has not met it.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from engine.clock import Clock
from engine.seal import MasterKey, Sealer
from engine.store import Store


class Resealing(msgspec.Struct, frozen=True, kw_only=True):
    """What a family needs to seal anew; `epoch` is newer than that of any server before."""

    store: Store
    sealer: Sealer
    epoch: int
    clock: Clock


Reseal: TypeAlias = Callable[[Resealing], Awaitable[int]]
"""Seals anew all that a family has sealed under older keys, and claims its digests under the newest
one; returns how many sessions it changed."""


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """How it went.

    Attributes:
        changed: how many streams were sealed anew, by kind.
        needed: for each key that still is, by its id, the kinds that need it.
    """

    changed: Mapping[str, int]
    needed: Mapping[str, Sequence[str]]


async def reseal_store(
    work: Resealing, families: Mapping[str, Reseal], older: Sequence[MasterKey]
) -> Resealed:
    """Seal everything anew, and find out which of the older keys are still needed.

    Args:
        families: by kind of stream. A kind in the store that is none of these may have written
            digests, which nothing tells from other text: then every key is needed.
    """
    changed = {kind: await reseal(work) for kind, reseal in families.items()}
    needed: dict[str, set[str]] = {key.key_id: set() for key in older}
    async with work.store.export() as lines:
        kind = ""
        async for line in lines:
            record: dict[str, Any] = msgspec.json.decode(line)
            if record["record"] == "stream":
                kind = record["stream"].partition("/")[0]
            for key in older:
                if kind and (kind not in families or is_sealed_with(key, record)):
                    needed[key.key_id].add(kind)
    return Resealed(
        changed=+Counter(changed),
        needed={key_id: sorted(kinds) for key_id, kinds in needed.items() if kinds},
    )


def is_sealed_with(key: MasterKey, record: Mapping[str, Any]) -> bool:
    """Tell whether a record of an export holds a text that this key has sealed."""
    marks = _marks(key)
    return any(mark in text for text in _texts(record) for mark in marks)


def _marks(key: MasterKey) -> tuple[bytes, ...]:
    """What its sealed texts begin with: raw, in base64 (nine bytes are twelve letters), in hex."""
    head = key.mark
    in_base64 = base64.b64encode(head), base64.urlsafe_b64encode(head)
    return head, *in_base64, head.hex().encode()


def _texts(record: Mapping[str, Any]) -> Iterator[bytes]:
    match record["record"]:
        case "stream":
            snapshot, row = record.get("snapshot") or {}, record.get("row") or {}
            yield base64.b64decode(snapshot.get("body") or "")
            yield base64.b64decode(row.get("summary") or "")
            yield msgspec.json.encode(row.get("tags") or {})
        case "alias":
            yield base64.b64decode(record["claim"].get("payload") or "")
        case "event":
            yield (record.get("text") or "").encode()
            yield base64.b64decode(record.get("base64") or "")
