"""Keeping a session's state, and getting it back: what sessions use of journal, store and vault."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from actors.browser.errors import BrowserUnavailable, LoginLost, NotWritten
from actors.browser.journal_messages import Keep
from actors.browser.place import stream_of
from actors.browser.saved import SavedSession, Vault
from engine import ActorRef, AskError, DeliveryError
from engine.errors import StoreError
from engine.seal import SealError
from engine.store import Store

_LOG: Final = structlog.get_logger("mooring.browser")
_KEEP_TIMEOUT_S: Final = 5.0


class Keeper(msgspec.Struct, frozen=True, kw_only=True):
    """The way to what is saved.

    Args:
        journal: writes it.
        store: where it is read.
    """

    journal: ActorRef
    store: Store
    vault: Vault

    async def keep(self, session_id: str, saved: SavedSession) -> bool:
        """Save a session's state; True once it is durable.

        A store that is away or slow costs a few seconds and then only the certainty: the journal
        goes on trying.
        """
        try:
            keep = Keep(session_id=session_id, saved=saved)
            return bool(await self.journal.ask(keep, timeout_s=_KEEP_TIMEOUT_S))
        except (AskError, DeliveryError, NotWritten) as error:
            _LOG.warning("browser_state_not_saved", session_id=session_id, cause=str(error))
            return False

    async def load(self, session_id: str) -> SavedSession:
        """Return what was saved.

        Raises:
            LoginLost: there is nothing, or it does not open.
            BrowserUnavailable: it cannot be read now.
        """
        try:
            loaded = await self.store.load(stream_of(session_id))
            if loaded.snapshot is None or not loaded.snapshot.body:
                raise LoginLost("nothing of it has been saved")
            return self.vault.open(session_id, loaded.snapshot.body)
        except SealError as error:
            raise LoginLost("its saved state does not open") from error
        except StoreError as error:
            raise BrowserUnavailable("its saved state cannot be read now") from error
