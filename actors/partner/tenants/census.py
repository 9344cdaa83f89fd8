"""Which hosted sessions of a tenant exist: read from the catalogue.

Laws of this file: sessions are asked for in the order in which they move through their states, so
that one that moves on meanwhile is seen at least once. What is read twice counts once.
"""

from __future__ import annotations

from typing import Final

from actors.partner.tenants.ledger import Found
from actors.partner.tenants.principal import ENVIRONMENTS, Environment
from engine.store import Listed, ListQuery, Store

SESSION_KIND: Final = "hosted"
# The tag that says where a session belongs: `<tenant id>/<environment>`.
PLACE_TAG: Final = "place"
UNFINISHED: Final = ("pending", "in_progress", "processing")
_PAGE: Final = 500


async def read_sessions(store: Store, tenant_id: str, *, after_ms: int) -> list[Found]:
    """Return the tenant's sessions created after a time, and all unfinished ones.

    Raises:
        StoreError: they cannot be read.
    """
    found: dict[str, Found] = {}
    for status in UNFINISHED:
        query = ListQuery(kind=SESSION_KIND, owner=tenant_id, status=status, limit=_PAGE)
        for entry in await _rows(store, query, after_ms=0):
            found.setdefault(entry.stream, _found(entry))
    query = ListQuery(kind=SESSION_KIND, owner=tenant_id, limit=_PAGE)
    for entry in await _rows(store, query, after_ms=after_ms):
        found.setdefault(entry.stream, _found(entry))
    return list(found.values())


async def _rows(store: Store, query: ListQuery, *, after_ms: int) -> list[Listed]:
    """Return the rows of a query, newest first, as far back as `after_ms`."""
    rows: list[Listed] = []
    cursor: str | None = None
    while True:
        page = await store.list_rows(
            ListQuery(
                kind=query.kind,
                owner=query.owner,
                status=query.status,
                limit=query.limit,
                cursor=cursor,
            )
        )
        newer = [entry for entry in page.entries if entry.row.created_at_ms > after_ms]
        rows += newer
        cursor = page.next_cursor
        if cursor is None or len(newer) < len(page.entries):
            return rows


def _found(entry: Listed) -> Found:
    return Found(
        session_id=entry.stream.partition("/")[2],
        environment=_environment(entry.row.tags.get(PLACE_TAG, "")),
        created_ms=entry.row.created_at_ms,
        unfinished=entry.row.status in UNFINISHED,
    )


def _environment(place: str) -> Environment:
    name = place.rpartition("/")[2]
    return next(it for it in ENVIRONMENTS if it == name)
