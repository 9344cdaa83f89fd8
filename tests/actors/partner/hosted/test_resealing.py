"""After the master key has changed, all that hosted sessions have sealed opens under the new one
alone, and says the same."""

from __future__ import annotations

import msgspec
from trio.testing import MockClock

from actors.partner.hosted import SigningKeys, reseal_hosted, reseal_signing
from actors.partner.hosted.idempotency import digest_of_body, key_alias, recall
from engine.clock import SeededClock
from engine.reseal import Resealing, is_sealed_with
from engine.seal import MasterKey, Sealer
from tests.actors.partner.hosted.sessions import SANDBOX, URL, opening, world

OLD = MasterKey.generate(SeededClock(7))  # the one of `sessions.sealer`
NEW = MasterKey.generate(SeededClock(8))


async def test_answers_and_signing_keys_are_sealed_anew_and_say_the_same(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        body = {"return_url": URL}
        answered = await it.desk.create(SANDBOX, opening(body, key="k1"))
        await it.desk.create(SANDBOX, opening(body))
        before = (await it.desk.receipts.keys.newest("sandbox")).key_id
        both = Sealer((NEW, OLD), it.clock)
        work = Resealing(store=it.store, sealer=both, epoch=99, clock=it.clock)
        assert (await reseal_hosted(work), await reseal_signing(work)) == (1, 1)
        assert (await reseal_hosted(work), await reseal_signing(work)) == (0, 0)
        only = Sealer((NEW,), it.clock)
        alias = key_alias("t1", "sandbox", "k1")
        held = await it.store.resolve(alias)
        assert held is not None
        assert recall(alias, held.payload, digest_of_body(body), only) == answered.body
        keys = SigningKeys(it.store, epoch=100, sealer=only, clock=it.clock)
        assert (await keys.newest("sandbox")).key_id == before
        async with it.store.export() as lines:
            async for line in lines:
                assert not is_sealed_with(OLD, msgspec.json.decode(line))
