"""A new master key in place of the old one, and everything that was sealed sealed anew.

Laws of this file: nothing that somebody still needs is dropped, wherever it is cut off; then the
file holds a key more than it needs, and the next rotation takes it along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from api.keyfile import KEY_FILE, read_keys, write_keys
from api.reseal import FAMILIES
from api.settings import SettingError, Settings, StartError
from api.storage import open_store
from engine.audit import AuditLog
from engine.clock import Clock
from engine.reseal import Resealed, Resealing, reseal_store
from engine.seal import MasterKey, Sealer

_MOST_KEYS: Final = 100


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """How it went.

    Attributes:
        key_id: of the key that seals from now on.
        changed: how many sessions were sealed anew, by kind.
        unneeded: the older keys that nothing needs any more, by their ids.
        needed: those that something still needs, and what.
        given: the keys came from the setting, and it is the operator who takes them away.
    """

    key_id: str
    changed: Mapping[str, int]
    unneeded: Sequence[str]
    needed: Mapping[str, Sequence[str]]
    given: bool


async def rotate(settings: Settings, data_dir: Path, clock: Clock) -> Rotated:
    """Rotate the master key of a data directory that the caller holds.

    With the key file: a new key is made and put first, and the older ones go once nothing needs
    them. With `MOORING_KEY`: its first key is the new one.

    Raises:
        StartError: there is nothing to rotate, or to rotate to.
        StoreError: the store failed; what is done is done, and can be gone on with.
    """
    if settings.key:
        keys = _given(settings.key)
    else:
        keys = _put_first(data_dir / KEY_FILE, MasterKey.generate(clock))
    done = await _reseal(settings, data_dir, keys, clock)
    if not settings.key:
        kept = [key for key in keys[1:] if key.key_id in done.needed]
        write_keys(data_dir / KEY_FILE, (keys[0], *kept))
    return Rotated(
        key_id=keys[0].key_id,
        changed=done.changed,
        unneeded=[key.key_id for key in keys[1:] if key.key_id not in done.needed],
        needed=done.needed,
        given=bool(settings.key),
    )


def _given(texts: Sequence[str]) -> tuple[MasterKey, ...]:
    keys = tuple(dict.fromkeys(MasterKey.parse(text) for text in texts))
    if len(keys) < 2:
        problem = "holds one key; put the new one before it, as MOORING_KEY=<new>,<old>"
        raise SettingError("MOORING_KEY", problem)
    return keys


def _put_first(path: Path, key: MasterKey) -> tuple[MasterKey, ...]:
    if not path.exists():
        raise StartError(f"there is no master key at {path}")
    older = read_keys(path)
    if len(older) >= _MOST_KEYS:
        raise StartError(f"{path} holds {len(older)} keys, and more would not be read")
    keys = (key, *older)
    write_keys(path, keys)  # before anything is sealed with it
    return keys


async def _reseal(
    settings: Settings, data_dir: Path, keys: Sequence[MasterKey], clock: Clock
) -> Resealed:
    async with open_store(settings.store, data_dir=data_dir, clock=clock) as store:
        epoch = await store.begin_epoch()
        work = Resealing(store=store, sealer=Sealer(keys, clock), epoch=epoch, clock=clock)
        done = await reseal_store(work, FAMILIES, keys[1:])
        audit = AuditLog(store, epoch=epoch, clock=clock)
        told = {"key": keys[0].key_id, "changed": done.changed, "needed": done.needed}
        await audit.write("key.rotated", told)
    return done
