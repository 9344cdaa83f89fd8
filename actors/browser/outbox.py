"""What is to be written of browser sessions and is not yet.

Laws of this file: it awaits nothing and reads no clock. The events of one session keep their order;
what comes while something is on its way to the store stays for the next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from actors.browser.place import CLOSED, Change, News, Place, after, beginning, until_closed
from actors.browser.saved import SavedSession, Vault
from engine import Reply

_MOST_WAITING: Final = 10_000  # events; while the store is away the oldest are given up
_MOST_AT_ONCE: Final = 500  # events of one commit


class Outbox:
    """Events, what is to be kept of sessions, and who waits until that is durable.

    Args:
        places: what the store has of each session; somebody else's to change.
        vault: None keeps nothing.
    """

    def __init__(self, places: Mapping[str, Place], vault: Vault | None) -> None:
        self._places = places
        self._vault = vault
        self._news: list[News] = []  # some of it may just be on its way to the store
        self._saves: dict[str, SavedSession] = {}  # the newest, where it is not written yet
        self._used: set[str] = set()  # places that the store does not have so
        self._replies: dict[str, list[Reply]] = {}

    @property
    def is_due(self) -> bool:
        """True while something waits that is not to wait for long."""
        return bool(self._news or self._saves or self._replies)

    @property
    def is_empty(self) -> bool:
        return not (self.is_due or self._used)

    def ends(self, session_id: str) -> bool:
        """Tell whether the end of a session waits to be written."""
        return any(it.session_id == session_id and it.event == CLOSED for it in self._news)

    # -- what comes in -------------------------------------------------------------------------

    def note(self, news: News) -> None:
        self._news.append(news)
        if len(self._news) > _MOST_WAITING:
            del self._news[0]

    def save(self, session_id: str, saved: SavedSession) -> None:
        self._saves[session_id] = saved

    def use(self, session_id: str) -> bool:
        """Remember that a place has changed; return whether it is the first of those that wait."""
        is_first = not self._used
        self._used.add(session_id)
        return is_first

    def promise(self, session_id: str, replies: Iterable[Reply]) -> None:
        """Let them be answered once what is there of a session now is durable."""
        self._replies.setdefault(session_id, []).extend(replies)

    # -- what goes out -------------------------------------------------------------------------

    def take(self, *, with_uses: bool) -> tuple[Sequence[Change], Mapping[str, Sequence[Reply]]]:
        """Return what to write, and who is to be answered after: who comes later asks for more."""
        changes = list(self._changes(with_uses=with_uses))
        replies, self._replies = self._replies, {}
        return changes, replies

    def written(self, change: Change) -> None:
        """Take note that a change is durable; what has come in meanwhile is not."""
        if self._saves.get(change.session_id) is change.saved:
            self._saves.pop(change.session_id, None)
        if self._places.get(change.session_id) in (None, change.before):
            self._used.discard(change.session_id)  # else it has been used meanwhile
        self._remove(change.news)

    def drop(self, session_id: str) -> None:
        """Give up what waits of a session, and answer who waits that nothing is kept."""
        self._remove([it for it in self._news if it.session_id == session_id])
        self._saves.pop(session_id, None)
        self._used.discard(session_id)
        for reply in self._replies.pop(session_id, []):
            reply.answer(False)

    def _changes(self, *, with_uses: bool) -> Iterator[Change]:
        news: dict[str, list[News]] = {}
        for each in self._news:
            news.setdefault(each.session_id, []).append(each)
        uses = self._used if with_uses else ()
        for session_id in dict.fromkeys((*news, *self._saves, *self._replies, *uses)):
            change = self._change(session_id, news.get(session_id, []))
            if change is None:
                self.drop(session_id)
            else:
                yield change

    def _change(self, session_id: str, news: Sequence[News]) -> Change | None:
        """Return what is to be written of a session; None when there is none to write of."""
        before = self._places.get(session_id)
        if before is None and news:
            before = beginning(news[0])
        if before is None:
            return None
        more = len(news) > _MOST_AT_ONCE
        news = until_closed(news[:_MOST_AT_ONCE])
        saved, login = self._saves.get(session_id), None
        if saved is not None and self._vault is not None:
            login = self._vault.logins(saved.credentials)[0]
        now = after(before, news, saved, login)
        return Change(
            session_id=session_id, before=before, now=now, news=news, saved=saved, more=more
        )

    def _remove(self, news: Sequence[News]) -> None:
        done = set(map(id, news))
        self._news = [it for it in self._news if id(it) not in done]
