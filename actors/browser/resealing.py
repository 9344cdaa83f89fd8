"""Sealing anew what is saved of browser sessions, after the master key has changed."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

import msgspec
import structlog

from actors.browser.place import KIND, place_in, row_of
from actors.browser.saved import Vault, alias_of
from engine.errors import AliasTaken
from engine.reseal import Resealing
from engine.retention import rows
from engine.seal import SealError
from engine.store import Claim, Commit, ListQuery, Loaded, Snapshot

_LOG: Final = structlog.get_logger("mooring.browser")
_PAGE: Final = 100


async def reseal_sessions(work: Resealing) -> int:
    """Seal anew every state and summary that an older key has sealed, and claim the logins anew.

    What no known key opens is left as it is. Return how many sessions were changed.
    """
    changed = 0
    for status in ("active", "waiting"):
        query = ListQuery(kind=KIND, status=status, limit=_PAGE)
        async with aclosing(rows(work.store, query)) as found:
            async for entry in found:
                changed += await _reseal(work, entry.stream)
    return changed


async def _reseal(work: Resealing, stream: str) -> bool:
    loaded = await work.store.load(stream)
    try:
        commit = _commit(work, stream, loaded)
    except SealError as error:
        _LOG.error("browser_session_left_alone", stream=stream, cause=str(error))
        return False
    if commit is None:
        return False
    try:
        await work.store.commit(commit)
    except AliasTaken:
        # Another session has the same login under the newest key; the next start ends the older.
        await work.store.commit(msgspec.structs.replace(commit, claims=()))
    return True


def _commit(work: Resealing, stream: str, loaded: Loaded) -> Commit | None:
    """Return what makes all of it current; None when it is, or when nothing is saved."""
    vault, session_id = Vault(work.sealer), stream.partition("/")[2]
    row, snapshot = loaded.row, loaded.snapshot
    if row is None or not row.summary or snapshot is None:
        return None
    saved = vault.open(session_id, snapshot.body)
    place = place_in(row, loaded.seq, vault.open_summary(session_id, row.summary))
    login, older = vault.logins(saved.credentials)[0], place.login
    if vault.is_current(row.summary, snapshot.body) and login == older:
        return None
    renewed = msgspec.structs.replace(place, login=login)
    is_same = older is None or older == login
    return Commit(
        stream=stream,
        epoch=work.epoch,
        expected_seq=loaded.seq,
        snapshot=Snapshot(seq=snapshot.seq, body=vault.seal(session_id, saved)),
        row=row_of(session_id, renewed, vault, at_ms=row.updated_at_ms),
        claims=(Claim(alias=alias_of(login)),),
        releases=() if is_same or older is None else (alias_of(older),),
    )
