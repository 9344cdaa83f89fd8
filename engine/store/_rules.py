"""Who is refused and what matches: the rules that stores share, without a store around them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.errors import AliasTaken, CommitConflict, CommitRefused, StaleEpoch
from engine.store._commit import CatalogueRow, Commit, is_text
from engine.store._protocol import MAX_PAGE, ListQuery

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def milliseconds(at: datetime) -> int:
    """Return a time as the log writes it: whole milliseconds since 1970, UTC."""
    return (at - _EPOCH) // _MILLISECOND


def refusal(
    commit: Commit, *, seq: int, epoch: int, holder: Callable[[str], str | None]
) -> CommitRefused | None:
    """Return why the stream, at `seq` and `epoch`, refuses `commit`; None when it does not.

    An epoch decides before a sequence: whoever has lost the stream is told so, even if it also
    lags behind. `holder` says who holds an alias now.
    """
    if commit.epoch < epoch:
        return StaleEpoch(commit.stream, epoch=commit.epoch, newest_epoch=epoch)
    if commit.expected_seq != seq:
        return CommitConflict(commit.stream, expected_seq=commit.expected_seq, newest_seq=seq)
    for claim in commit.claims:
        owner = holder(claim.alias)
        if owner is not None and owner != commit.stream:
            return AliasTaken(claim.alias, holder=owner)
    return None


def check_page(limit: int, max_bytes: int = 1) -> None:
    """Refuse a page without end, and one without a beginning."""
    if not 1 <= limit <= MAX_PAGE or max_bytes < 1:
        raise ValueError(f"a page has 1 to {MAX_PAGE} entries")


def findable(name: str) -> str:
    """Return a stream or alias to look for; what none can be called becomes the empty one, which
    none is called."""
    return name if is_text(name) else ""


def is_matchable(query: ListQuery) -> bool:
    """Return whether any row could match: some texts, no store can hold."""
    texts = (query.kind, query.owner or "", query.status or "", *query.tags, *query.tags.values())
    return all(map(is_text, texts))


def matches(query: ListQuery, row: CatalogueRow) -> bool:
    """Return whether a row of the query's kind passes its filters."""
    return (
        query.owner in (None, row.owner)
        and query.status in (None, row.status)
        and all(row.tags.get(name) == value for name, value in query.tags.items())
    )
