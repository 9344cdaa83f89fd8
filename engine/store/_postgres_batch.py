"""A batch of commits as the arrays that one statement takes, and its outcomes.

Laws of this file: pure. In one statement no two commits touch the same stream or alias; those that
do go into later ones, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.errors import AliasTaken, CommitConflict, OwnershipLost, StaleEpoch, StoreError
from engine.store._commit import CatalogueRow, Commit, kind_of
from engine.store._group_commit import Outcome
from engine.store._protocol import CommitDone

_NO_ROW: Final = (None,) * 7


def waves(commits: Sequence[Commit]) -> Sequence[Sequence[int]]:
    """Return which commits, by their places, go into the first statement, the second, and so on."""
    found: list[list[int]] = []
    last: dict[tuple[str, str], int] = {}  # what is touched: the wave that does so last
    for place, commit in enumerate(commits):
        touched = [*_touched(commit)]
        wave = max((last[key] + 1 for key in touched if key in last), default=0)
        last.update(dict.fromkeys(touched, wave))
        if wave == len(found):
            found.append([])
        found[wave].append(place)
    return found


def _touched(commit: Commit) -> Iterable[tuple[str, str]]:
    yield "stream", commit.stream
    for claim in commit.claims:
        yield "alias", claim.alias
    for alias in commit.releases:
        yield "alias", alias


def values_of(commits: Sequence[Commit]) -> Sequence[Sequence[Any]]:
    """Return what `commit_batch` takes behind its first three arguments."""
    rows = [columns_of(commit.row) for commit in commits]
    heads = [
        (one.stream, kind_of(one.stream), one.epoch, one.expected_seq, len(one.events), *row)
        for one, row in zip(commits, rows, strict=True)
    ]
    numbered = [*enumerate(commits, start=1)]
    events = [
        (item, event.seq, event.type, event.at_ms, event.body)
        for item, one in numbered
        for event in one.events
    ]
    snapshots = [
        (item, one.snapshot.seq, one.snapshot.body)
        for item, one in numbered
        if one.snapshot is not None
    ]
    claims = [
        (item, one.stream, claim.alias, claim.payload, claim.expires_at_ms)
        for item, one in numbered
        # Of two claims of one alias in one commit, the later one holds.
        for claim in {claim.alias: claim for claim in one.claims}.values()
    ]
    releases = [(item, alias) for item, one in numbered for alias in one.releases]
    return [
        *_turned(heads, 12),
        *_turned(events, 5),
        *_turned(snapshots, 3),
        *_turned(claims, 5),
        *_turned(releases, 2),
    ]


def outcomes_of(commits: Sequence[Commit], refused: Iterable[Mapping[str, Any]]) -> list[Outcome]:
    """Return what became of each commit, from the rows that say who was refused."""
    outcomes: list[Outcome] = [CommitDone(seq=one.newest_seq) for one in commits]
    for row in refused:
        place = row["item"] - 1
        outcomes[place] = _refusal(commits[place], row)
    return outcomes


def _tags_text(tags: Mapping[str, str]) -> str:
    """Return tags as they are kept and compared."""
    return msgspec.json.encode(tags, order="sorted").decode() if tags else "{}"


def _refusal(commit: Commit, row: Mapping[str, Any]) -> StoreError:
    match row["why"]:
        case "owner":
            return OwnershipLost(commit.stream, epoch=commit.epoch, newest_epoch=row["found"])
        case "epoch":
            return StaleEpoch(commit.stream, epoch=commit.epoch, newest_epoch=row["found"])
        case "seq":
            expected = commit.expected_seq
            return CommitConflict(commit.stream, expected_seq=expected, newest_seq=row["found"])
        case _:
            return AliasTaken(row["alias"], holder=row["holder"])


def columns_of(row: CatalogueRow | None) -> Sequence[Any]:
    """Return a row as `streams` has it, from the owner on; nulls for none."""
    if row is None:
        return _NO_ROW
    times = row.created_at_ms, row.updated_at_ms, row.due_at_ms
    return row.owner, row.status, *times, _tags_text(row.tags), row.summary


def _turned(rows: Sequence[Sequence[Any]], width: int) -> Iterable[Sequence[Any]]:
    """Turn rows into columns; without rows, so many empty ones."""
    return [*map(list, zip(*rows, strict=True))] if rows else [[] for _ in range(width)]
