"""One look at everything that can be measured: `statistics()` of every part, taken together.

Laws of this file: nothing here waits for a browser, a model or a client. A part that does not
answer is left out, and the rest is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
import structlog
import trio

from actors.assistant.family import ConversationStatistics
from actors.browser.memory import ChromiumMemory
from actors.browser.statistics import BrowserStatistics
from api.monitoring.vitals import Vitals, VitalsStatistics
from api.server.request_counts import RequestCounts, RequestStatistics
from engine.activation import Activations, ActivationStatistics
from engine.errors import MooringError
from engine.store import Store, StoreStatistics, Tally
from engine.stream import StreamHub, StreamStatistics

_log = structlog.get_logger("mooring.metrics")
# Counting the catalogue looks at every row of it, so it is not done for each scrape.
_TALLY_EVERY_S: Final = 60.0
# Reading from a database that is away takes its time; a scrape has none, least of all then.
_TALLY_WITHIN_S: Final = 1.0


class MeasuredBrowsers(Protocol):
    """The family of browser sessions, as far as it is measured."""

    async def statistics(self) -> BrowserStatistics: ...

    async def chromium_memory(self) -> ChromiumMemory: ...


class MeasuredConversations(Protocol):
    """The family of conversations, as far as it is measured."""

    def statistics(self) -> ConversationStatistics: ...


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What was read at one moment; None for what did not answer."""

    browser: BrowserStatistics | None
    chromium: ChromiumMemory
    conversations: ConversationStatistics
    activations: tuple[ActivationStatistics, ...]
    store: StoreStatistics
    tally: tuple[Tally, ...] | None
    streams: StreamStatistics
    requests: RequestStatistics
    vitals: VitalsStatistics


class Instruments:
    """Takes readings.

    Args:
        activations: further kinds of actors that come to memory and leave it.
    """

    def __init__(
        self,
        *,
        browsers: MeasuredBrowsers,
        conversations: MeasuredConversations,
        store: Store,
        hub: StreamHub,
        requests: RequestCounts,
        vitals: Vitals,
        activations: Sequence[Activations] = (),
    ) -> None:
        self.store = store
        self.vitals = vitals
        self.requests = requests
        self._browsers = browsers
        self._conversations = conversations
        self._hub = hub
        self._activations = activations
        self._tally: tuple[Tally, ...] | None = None
        self._tally_good_until = -1.0

    async def read(self) -> Readings:
        """Return what there is now."""
        browser, tally = await self._read_browser(), await self._read_tally()
        return Readings(
            browser=browser,
            chromium=await self._browsers.chromium_memory(),
            conversations=self._conversations.statistics(),
            activations=tuple(each.statistics() for each in self._activations),
            store=self.store.statistics(),
            tally=tally,
            streams=self._hub.statistics(),
            requests=self.requests.statistics(),
            vitals=self.vitals.statistics(),
        )

    async def _read_browser(self) -> BrowserStatistics | None:
        try:
            return await self._browsers.statistics()
        except MooringError as error:
            _log.warning("not_measured", part="browser", cause=str(error))
            return None

    async def _read_tally(self) -> tuple[Tally, ...] | None:
        now = trio.current_time()
        if now >= self._tally_good_until:
            self._tally_good_until = now + _TALLY_EVERY_S
            self._tally = await self._count_catalogue()
        return self._tally

    async def _count_catalogue(self) -> tuple[Tally, ...] | None:
        cause = f"the store did not answer within {_TALLY_WITHIN_S:g} s"
        try:
            with trio.move_on_after(_TALLY_WITHIN_S):
                return await self.store.tally()
        except MooringError as error:
            cause = str(error)
        _log.warning("not_measured", part="catalogue", cause=cause)
        return None
