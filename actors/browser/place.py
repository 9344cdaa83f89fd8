"""Where a browser session's stream stands, and what a batch of news about it comes to.

Laws of this file: it awaits nothing and reads no clock. Nothing follows `session.closed`, and with
it everything that was saved of the session goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from actors.browser.saved import SavedSession, Summary, Vault, alias_of
from engine.store import CatalogueRow, Claim, Commit, Event, Snapshot

KIND: Final = "browser"
CREATED: Final = "session.created"
CLOSED: Final = "session.closed"
PARKED: Final = "session.parked"
ENDED: Final = frozenset({"closed"})
"""The catalogue's statuses of sessions that are over for good."""
_LOGIN: Final = "login"  # the tag

RowStatus = Literal["active", "waiting", "closed"]
_WAITING_AFTER: Final = frozenset({PARKED, "restore.failed"})
_USES: Final = frozenset({CREATED, "lease.granted", "lease.released"})
_REFRESHES: Final = frozenset({"login.succeeded", "refresh.succeeded", "session.recovered"})


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has happened to a session. `data` holds no secret."""

    session_id: str
    event: str
    data: dict[str, Any]
    at: str
    at_ms: int


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session's stream stands.

    Attributes:
        used_ms, refreshed_ms: the last use, and when the login was last seen to work.
        login: the digest of the credentials that the saved state is found by, under the key of its
            time; None while nothing is saved.
    """

    seq: int
    created_at_ms: int
    used_ms: int
    refreshed_ms: int | None = None
    status: RowStatus = "active"
    login: str | None = None
    username: str = ""
    url: str = ""


def stream_of(session_id: str) -> str:
    """Return the stream of a browser session."""
    return f"{KIND}/{session_id}"


def beginning(news: News) -> Place | None:
    """Return the place of a session that begins with this; None when it is no beginning."""
    if news.event != CREATED:
        return None
    return Place(seq=0, created_at_ms=news.at_ms, used_ms=news.at_ms)


def until_closed(news: Sequence[News]) -> Sequence[News]:
    """Return the news up to the session's end."""
    for at, each in enumerate(news, start=1):
        if each.event == CLOSED:
            return news[:at]
    return news


def after(
    place: Place, news: Sequence[News], saved: SavedSession | None, login: str | None
) -> Place:
    """Return where the stream stands with the news, and with what is to be saved under a login."""
    status, used_ms, refreshed_ms = place.status, place.used_ms, place.refreshed_ms
    for each in news:
        status = _status_after(each.event)
        if each.event in _USES:
            used_ms = each.at_ms
        if each.event in _REFRESHES:
            refreshed_ms = each.at_ms
    now = msgspec.structs.replace(
        place,
        seq=place.seq + len(news),
        status=status,
        used_ms=used_ms,
        refreshed_ms=refreshed_ms,
    )
    if status == "closed":
        return msgspec.structs.replace(now, login=None)
    if saved is not None:
        username, url = saved.credentials.username, saved.state.url
        return msgspec.structs.replace(now, login=login, username=username, url=url)
    return now


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What takes a stream from one place to the next.

    Args:
        saved: the state to be written, still open.
        more: there is more news than one commit takes.
    """

    session_id: str
    before: Place
    now: Place
    news: Sequence[News]
    saved: SavedSession | None = None
    more: bool = False


def commit_of(change: Change, vault: Vault | None, *, epoch: int, at_ms: int) -> Commit:
    """Return the commit that makes a change durable, the saved state sealed or erased with it."""
    before, now, snapshot = change.before, change.now, None
    if before.login is not None and now.login is None:
        snapshot = Snapshot(seq=now.seq, body=b"")
    elif change.saved is not None and vault is not None:
        snapshot = Snapshot(seq=now.seq, body=vault.seal(change.session_id, change.saved))
    claims, releases = _aliases(before.login, now.login)
    return Commit(
        stream=stream_of(change.session_id),
        epoch=epoch,
        expected_seq=before.seq,
        events=tuple(_encode(it, before.seq + n) for n, it in enumerate(change.news, start=1)),
        snapshot=snapshot,
        row=row_of(change.session_id, now, vault, at_ms=at_ms),
        claims=claims,
        releases=releases,
    )


def row_of(session_id: str, place: Place, vault: Vault | None, *, at_ms: int) -> CatalogueRow:
    """Return the catalogue's row of a session; what is shown of it is sealed."""
    summary = b""
    if place.login is not None and vault is not None:
        summary = vault.seal_summary(session_id, _summary(place))
    return CatalogueRow(
        owner=KIND,
        status=place.status,
        created_at_ms=place.created_at_ms,
        updated_at_ms=at_ms,
        summary=summary,
        tags={} if place.login is None else {_LOGIN: place.login},
    )


def place_in(row: CatalogueRow, seq: int, summary: Summary | None) -> Place:
    """Return the place of a stream as the store has it; without a summary it shows little."""
    known = summary or Summary(username="", url="", last_used_ms=row.updated_at_ms)
    return Place(
        seq=seq,
        created_at_ms=row.created_at_ms,
        used_ms=known.last_used_ms,
        refreshed_ms=known.last_refresh_ms,
        status="waiting" if row.status == "waiting" else "active",
        login=row.tags.get(_LOGIN),
        username=known.username,
        url=known.url,
    )


def _status_after(event: str) -> RowStatus:
    if event == CLOSED:
        return "closed"
    return "waiting" if event in _WAITING_AFTER else "active"


def _summary(place: Place) -> Summary:
    return Summary(
        username=place.username,
        url=place.url,
        last_used_ms=place.used_ms,
        last_refresh_ms=place.refreshed_ms,
    )


def _aliases(before: str | None, now: str | None) -> tuple[tuple[Claim, ...], tuple[str, ...]]:
    """Claim a login once, and give up the one that it replaces or that ends with the session."""
    if before == now:
        return (), ()
    claims = () if now is None else (Claim(alias=alias_of(now)),)
    return claims, () if before is None else (alias_of(before),)


def _encode(news: News, seq: int) -> Event:
    frame = {"seq": seq, "type": news.event, "at": news.at, "data": news.data}
    return Event(seq=seq, type=news.event, at_ms=news.at_ms, body=msgspec.json.encode(frame))
