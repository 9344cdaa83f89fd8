"""A conversation's state in one piece, for the store.

Laws of this file: what is encoded decodes to an equal state. A snapshot of another form decodes to
None, and the state is then replayed from the log, which has everything that it is made of.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from actors.assistant.conversation import Conversation

# To be raised whenever an older snapshot would decode to something other than what it meant.
_FORM: Final = 1


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    form: Literal[1]
    state: Conversation


def encode_snapshot(state: Conversation) -> bytes:
    """Return the state as the store keeps it, as of `state.seq`."""
    return msgspec.msgpack.encode(_Snapshot(form=_FORM, state=state))


def decode_snapshot(body: bytes) -> Conversation | None:
    """Return the state; None when the snapshot is damaged or of a form not known here."""
    try:
        return msgspec.msgpack.decode(body, type=_Snapshot).state
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
