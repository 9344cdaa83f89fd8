"""List cursors: where a page ended, sealed so that only what this store gave out comes back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec

from engine.errors import CursorInvalid
from engine.store._protocol import Listed, Listing, ListQuery

KEY_BYTES: Final = 32
_MAC_BYTES: Final = 16
_MAX_CURSOR: Final = 512


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last row of a page. It holds nothing that the page did not show."""

    created_at_ms: int
    stream: str


class ListCursors:
    """Seals and opens the cursors of one store.

    Args:
        key: the store's own, kept with it, so that cursors outlive a restart.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def page(self, query: ListQuery, found: Sequence[Listed]) -> Listing:
        """Make a page of what was found: more than `query.limit` means that there is a next."""
        entries = tuple(found[: query.limit])
        if len(found) <= query.limit:
            return Listing(entries=entries, next_cursor=None)
        last = entries[-1]
        place = Place(created_at_ms=last.row.created_at_ms, stream=last.stream)
        return Listing(entries=entries, next_cursor=self.seal(query, place))

    def seal(self, query: ListQuery, place: Place) -> str:
        """Return the cursor that goes on behind `place` in this very query."""
        body = msgspec.msgpack.encode(place)
        sealed = self._mac(query, body) + body
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, query: ListQuery) -> Place | None:
        """Return the place that the query's cursor stands for; None when it has no cursor.

        Raises:
            CursorInvalid: made up, altered, or given for another query.
        """
        if query.cursor is None:
            return None
        sealed = _decode(query.cursor)
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(query, body)):
            raise CursorInvalid
        return msgspec.msgpack.decode(body, type=Place)

    def _mac(self, query: ListQuery, body: bytes) -> bytes:
        filters = (
            query.kind,
            query.owner,
            query.status,
            sorted(query.tags.items()),
            query.newest_first,
        )
        message = msgspec.msgpack.encode((filters, body))
        return hmac.digest(self._key, message, hashlib.sha256)[:_MAC_BYTES]


def _decode(cursor: str) -> bytes:
    if len(cursor) > _MAX_CURSOR:
        raise CursorInvalid
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        sealed = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise CursorInvalid from None
    # One cursor has one spelling: the unused bits of its last letter are zero.
    if base64.urlsafe_b64encode(sealed).rstrip(b"=").decode() != cursor:
        raise CursorInvalid
    return sealed
