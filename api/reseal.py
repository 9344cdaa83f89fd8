"""Which families have sealed something, and how each seals it anew: what `mooring key rotate` does.

A family that seals or makes digests adds itself here. A kind of stream that is not here keeps every
older key in the file: nobody could say that it does not need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.assistant.decider import KIND as CONVERSATION
from actors.browser.place import KIND as BROWSER
from actors.browser.resealing import reseal_sessions
from actors.partner.hosted import KIND as HOSTED
from actors.partner.hosted import SIGNING_KIND as SIGNING
from actors.partner.hosted import reseal_hosted, reseal_signing
from engine.audit import KIND as AUDIT
from engine.reseal import Reseal, Resealing


async def nothing_is_sealed(_: Resealing) -> int:
    """For families without secrets of their own."""
    return 0


FAMILIES: Final[Mapping[str, Reseal]] = {
    BROWSER: reseal_sessions,
    CONVERSATION: nothing_is_sealed,
    AUDIT: nothing_is_sealed,
    HOSTED: reseal_hosted,
    SIGNING: reseal_signing,
}
