"""What the assistant's routes and streams ask of conversations, over actors and log.

Commands go to the conversation, which comes to memory for them. What is only read is read from the
catalogue and the log, and wakes nobody.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from actors.assistant.commands import Close, Create
from actors.assistant.decider import (
    KIND,
    active_alias,
    decode_session,
    owner_of,
    stream_of,
)
from actors.assistant.errors import ConversationNotFound
from actors.assistant.events import decode_event
from actors.assistant.family import Conversations, ConversationStatistics
from actors.assistant.keys import KeyRecord
from actors.assistant.lifecycle import check_create
from actors.assistant.pages import ChangedAfter, CreatedAfter, MessagePage
from actors.assistant.records import Message, Session
from actors.assistant.session import Delete
from api.assistant.errors import NoActiveSession
from api.assistant.requests import Opening, PageWanted
from engine.clock import Clock
from engine.durable import AliasHeld
from engine.store import ListQuery

_PAGE: Final = 500
_DELETE_S: Final = 60.0
_LONGEST_ID: Final = 128
# Each round somebody's session was opened; so many creates for one user race only in a test.
_MOST_ROUNDS: Final = 128


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sessions."""

    sessions: tuple[Session, ...]
    next_cursor: str | None


class AssistantDesk:
    """Conversations, as the door sees them."""

    def __init__(self, conversations: Conversations, clock: Clock) -> None:
        self._conversations = conversations
        self._store = conversations.log.store
        self._clock = clock

    def statistics(self) -> ConversationStatistics:
        """Return what there is now, in memory."""
        return self._conversations.statistics()

    def new_id(self) -> str:
        """Return an id that nobody can guess: 128 random bits in the form of a UUID."""
        return str(uuid.UUID(int=self._clock.random_bits(128), version=4))

    async def ask(self, session_id: str, command: Any, *, timeout_s: float = 30.0) -> Any:
        """Ask a conversation; raises what it answers.

        Raises:
            ConversationNotFound: also where the id could not be one.
        """
        if len(session_id) > _LONGEST_ID or not session_id.isascii() or "/" in session_id:
            raise ConversationNotFound(session_id[:_LONGEST_ID])
        try:
            return await self._conversations.ask(session_id, command, timeout_s=timeout_s)
        except ConversationNotFound as error:
            raise ConversationNotFound(session_id) from error

    # -- sessions ------------------------------------------------------------------------------

    async def open_session(self, opening: Opening) -> tuple[Session, bool]:
        """Return the user's active session, and whether it has just been made.

        Of any number that race, one makes it. With `force_new` the one that is there is closed.

        Raises:
            FieldInvalid: also where there is a session already.
            AliasHeld: too many others opened sessions for this user all the while.
        """
        command = opening.command
        check_create(command)
        alias = active_alias(command.business_id, command.user_id)
        for _ in range(_MOST_ROUNDS - 1):
            held = await self._store.resolve(alias)
            if held is None:
                try:
                    return await self._create(command), True
                except AliasHeld:
                    continue
            if not opening.force_new:
                session = await self._of_stream(held.stream)
                if session is not None and session.status == "active":
                    return session, False
            else:
                await self._replace(held.stream)
        return await self._create(command), True

    async def session(self, session_id: str) -> Session:
        """Return a session as it stands.

        Raises:
            ConversationNotFound.
        """
        session = await self._of_stream(stream_of(session_id))
        if session is None:
            raise ConversationNotFound(session_id[:_LONGEST_ID])
        return session

    async def active(self, business_id: str, user_id: str) -> Session:
        """Return the session of a user that is active.

        Raises:
            NoActiveSession.
        """
        held = await self._store.resolve(active_alias(business_id, user_id))
        session = None if held is None else await self._of_stream(held.stream)
        if session is None:
            raise NoActiveSession(business_id[:_LONGEST_ID], user_id[:_LONGEST_ID])
        return session

    async def active_at(self, business_id: str, limit: int, cursor: str | None) -> Sessions:
        """Return the active sessions of a business, newest first."""
        return await self._list(limit, cursor, tags={"active_at": business_id})

    async def history(
        self, business_id: str, user_id: str, limit: int, cursor: str | None
    ) -> Sessions:
        """Return all sessions of a user, newest first."""
        return await self._list(limit, cursor, owner=owner_of(business_id, user_id))

    async def delete(self, session_id: str) -> None:
        """Close a session and erase its log; returns when nothing is left of it."""
        await self.ask(session_id, Delete(), timeout_s=_DELETE_S)

    # -- messages ------------------------------------------------------------------------------

    async def post(self, session_id: str, command: Any) -> Message:
        """Return the message, new or as it was posted under the same key before."""
        posted: Message | KeyRecord = await self.ask(session_id, command)
        if isinstance(posted, Message):
            return posted
        wanted = PageWanted(start="after", after=posted.message_seq - 1, limit=1)
        page = await self._read(session_id, wanted)
        if not page.messages:
            raise ConversationNotFound(session_id)  # it was deleted this very moment
        return page.messages[0]

    async def messages(self, session_id: str, wanted: PageWanted) -> MessagePage:
        """Return a page of messages, oldest first.

        Raises:
            ConversationNotFound.
        """
        page = await self._read(session_id, wanted)
        if not page.messages:
            await self.session(session_id)  # none yet, or no such session
        return page

    async def _read(self, session_id: str, wanted: PageWanted) -> MessagePage:
        kind = CreatedAfter if wanted.start == "after" else ChangedAfter
        reader = kind(after=wanted.after, limit=wanted.limit)
        stream = stream_of(session_id)
        while not reader.done:
            page = await self._store.read(stream, after=reader.position, limit=_PAGE)
            events = [decode_event(event.body) for event in page.events]
            reader.feed(events, through=page.through, newest=page.newest_seq)
        return reader.page()

    async def _create(self, command: Create) -> Session:
        session: Session = await self._conversations.ask(command.session_id, command)
        return session

    async def _replace(self, stream: str) -> None:
        with suppress(ConversationNotFound):  # somebody has deleted it meanwhile
            await self.ask(stream.partition("/")[2], Close(reason="replaced"))

    async def _of_stream(self, stream: str) -> Session | None:
        row = (await self._store.load(stream)).row
        return None if row is None else decode_session(row.summary)

    async def _list(
        self,
        limit: int,
        cursor: str | None,
        *,
        owner: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Sessions:
        query = ListQuery(kind=KIND, owner=owner, tags=tags or {}, limit=limit, cursor=cursor)
        listing = await self._store.list_rows(query)
        return Sessions(
            sessions=tuple(decode_session(entry.row.summary) for entry in listing.entries),
            next_cursor=listing.next_cursor,
        )
