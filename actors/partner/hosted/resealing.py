"""Sealing anew what hosted sessions have sealed, after the master key has changed: the answers that
are kept for who repeats a create, and the keys that sign receipts."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from actors.partner.hosted.idempotency import KEY_PREFIX, resealed
from actors.partner.hosted.signing_keys import SigningKeys
from actors.partner.tenants.principal import Environment
from engine.reseal import Resealing
from engine.store import Claim, Commit

_ALIAS: Final = "alias"


async def reseal_hosted(work: Resealing) -> int:
    """Seal anew the answers under idempotency keys; return of how many sessions."""
    changed = 0
    for stream, alias in await _recorded(work):
        held = await work.store.resolve(alias)
        if held is None or held.stream != stream:
            continue  # its day is over
        payload = resealed(alias, held.payload, work.sealer)
        if payload is None:
            continue
        loaded = await work.store.load(stream)
        claim = Claim(alias=alias, payload=payload, expires_at_ms=held.expires_at_ms)
        await work.store.commit(
            Commit(stream=stream, epoch=work.epoch, expected_seq=loaded.seq, claims=(claim,))
        )
        changed += 1
    return changed


async def reseal_signing(work: Resealing) -> int:
    """Seal anew the signing keys; return of how many environments."""
    keys = SigningKeys(work.store, epoch=work.epoch, sealer=work.sealer, clock=work.clock)
    return sum([await keys.reseal(environment) for environment in get_args(Environment)])


async def _recorded(work: Resealing) -> list[tuple[str, str]]:
    """Return every idempotency key that something is kept under, with its session's stream."""
    found, stream = [], ""
    async with work.store.export() as lines:
        async for line in lines:
            record: dict[str, Any] = msgspec.json.decode(line)
            if record["record"] == "stream":
                stream = record["stream"]
            elif record["record"] == _ALIAS and record["claim"]["alias"].startswith(KEY_PREFIX):
                found.append((stream, str(record["claim"]["alias"])))
    return found
