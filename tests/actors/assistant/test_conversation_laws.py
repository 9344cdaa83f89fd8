"""The laws that the files of `actors.assistant` open with, walked through random programs."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from actors.assistant import (
    PRUNABLE_TYPES,
    AddText,
    CancelReply,
    ChangedAfter,
    Close,
    Command,
    CompleteReply,
    ConversationError,
    ConversationEvent,
    CreatedAfter,
    FailReply,
    IdempotencyMismatch,
    Message,
    OnBusy,
    PostMessage,
    Recover,
    StartReply,
    Update,
    decode_event,
    decode_snapshot,
    encode_event,
    encode_snapshot,
    find_posted,
    type_of,
)
from tests.actors.assistant.dialogue import Dialogue, replayed

_ENDS = {"reply.completed", "reply.cancelled", "reply.failed"}
_PICK = st.integers(0, 7)
_TEXT = st.sampled_from(("a", "bc ", "d\0e", "ü\u0301", ""))


class ConversationMachine(RuleBasedStateMachine):
    """Everything that can be asked of a conversation, in any order, late or wrong included."""

    @initialize()
    def open(self) -> None:
        self.talk = Dialogue()
        self.posts: dict[str, PostMessage] = {}  # by message id
        self.posted_at: dict[str, datetime] = {}

    def ask(self, command: Command) -> list[ConversationEvent]:
        before = self.talk.it
        try:
            events = self.talk.ask(command)
        except ConversationError:
            assert self.talk.it is before
            return []
        first = before.seq + 1
        assert [event.seq for event in events] == list(range(first, first + len(events)))
        return events

    def a_reply(self, pick: int) -> tuple[str, int]:
        """Some reply, most often the one that runs, and an attempt at it."""
        running = self.talk.it.running
        if running is None or not pick:
            return f"r{pick + 1}", 1
        return running.message.message_id, running.attempt - (pick == 1)

    def tell(self, command: AddText | CompleteReply | FailReply) -> None:
        """Bring news of a reply; of any but the running one's latest attempt it is no news."""
        running = self.talk.it.running
        place = running and (running.message.message_id, running.attempt)
        events = self.ask(command)
        assert not events or place == (command.reply_id, command.attempt)

    @rule(
        content=st.sampled_from(("hi", "ho", "x" * 30_000)),
        key=st.sampled_from((None, None, "k1", "k2", "k3")),
        on_busy=st.sampled_from(("enqueue", "enqueue", "reject", "interrupt")),
    )
    def post(self, content: str, key: str | None, on_busy: OnBusy) -> None:
        number = len(self.posts) + 1
        command = PostMessage(
            message_id=f"m{number}",
            reply_id=f"r{number}",
            content=content,
            key=key,
            on_busy=on_busy,
        )
        first = self.first_of(key)
        if first is None:
            events = self.ask(command)
            if events:
                self.posts[command.message_id] = command
                self.posted_at[command.message_id] = self.talk.now
        elif first.content == content:
            record = find_posted(self.talk.it, command, self.talk.now)
            assert record is not None
            assert record.message_id == first.message_id
            assert self.ask(command) == []
        else:
            with pytest.raises(IdempotencyMismatch):
                self.talk.ask(command)

    def first_of(self, key: str | None) -> PostMessage | None:
        """The message that was taken in under the key within a day."""
        for message_id, post in self.posts.items():
            age = self.talk.now - self.posted_at[message_id]
            if post.key == key is not None and age < timedelta(days=1):
                return post
        return None

    @rule(pick=st.integers(0, 9))
    def start(self, pick: int) -> None:
        following = self.talk.it.next_reply
        wrong = following is None or not pick
        self.ask(StartReply(reply_id="r1" if wrong else following.reply_id))  # type: ignore[union-attr]

    @rule(count=st.integers(1, 5))
    def go_on(self, count: int) -> None:
        if self.talk.it.next_reply is not None:
            self.talk.start()
        for _ in range(count if self.talk.it.running else 0):
            self.talk.add("more ")

    @rule(pick=_PICK, text=_TEXT)
    def add(self, pick: int, text: str) -> None:
        reply_id, attempt = self.a_reply(pick)
        self.tell(AddText(reply_id=reply_id, attempt=attempt, text=text))

    @rule(pick=_PICK, good=st.booleans())
    def end(self, pick: int, good: bool) -> None:
        reply_id, attempt = self.a_reply(pick)
        if good:
            self.tell(CompleteReply(reply_id=reply_id, attempt=attempt, finish_reason="stop"))
        else:
            self.tell(FailReply(reply_id=reply_id, attempt=attempt, error="no"))

    @rule(pick=_PICK, named=st.booleans())
    def cancel(self, pick: int, named: bool) -> None:
        self.ask(CancelReply(reply_id=self.a_reply(pick)[0] if named else None))
        assert self.ask(CancelReply(reply_id="r0")) == []

    @rule(resume=st.booleans())
    def crash(self, resume: bool) -> None:
        self.talk.state = decode_snapshot(encode_snapshot(self.talk.it))
        self.ask(Recover(resume=resume))

    @rule(title=st.sampled_from((None, "a", "b")), version=st.sampled_from((None, 1, 2, 3)))
    def update(self, title: str | None, version: int | None) -> None:
        self.ask(Update(title=title, expected_version=version))

    @rule(hours=st.sampled_from((0.01, 1, 13)))
    def time_passes(self, hours: float) -> None:
        self.talk.now += timedelta(hours=hours)

    @rule(rarely=st.integers(0, 9))
    def close(self, rarely: int) -> None:
        if not rarely:
            self.ask(Close())

    @rule(back=st.integers(0, 12), limit=st.integers(1, 4), step=st.integers(1, 5))
    def read_pages(self, back: int, limit: int, step: int) -> None:
        log, newest = self.talk.log, self.talk.it.seq
        after = max(0, newest - back)
        for cls in (CreatedAfter, ChangedAfter):
            reader = cls(after=after, limit=limit)
            while not reader.done:
                stretch = [event for event in log if event.seq > reader.position][:step]
                through = stretch[-1].seq if stretch else newest
                reader.feed(stretch, through=through, newest=newest)
            page = reader.page()
            assert len(page.messages) <= limit
            if cls is CreatedAfter:
                known = [it for it in self.messages(log) if it.seq > after]
                assert list(page.messages) == known[:limit]
                assert (page.next_after is not None) == (len(known) > limit)
            else:
                seen = self.messages([event for event in log if event.seq <= page.seq])
                assert list(page.messages) == [it for it in seen if it.updated_seq > after]
                assert page.seq > after or not page.messages
                assert page.next_after is not None or page.seq >= newest

    @staticmethod
    def messages(log: list[ConversationEvent]) -> list[Message]:
        """All messages as a log makes them, by brute force."""
        state = replayed(log)
        found: dict[int, Message] = {}
        for event in log:
            if isinstance(event.data, Message):
                found[event.data.seq] = event.data
        if state.running is not None:
            found[state.running.message.seq] = state.running.message
        return [found[seq] for seq in sorted(found)]

    # What holds after every program holds after every step: each is the end of another program.

    def teardown(self) -> None:
        if not hasattr(self, "talk"):
            return
        self.replaying_gives_the_same_state()
        self.every_event_survives_being_written_down()
        self.deltas_of_ended_replies_are_not_missed()
        self.every_message_has_one_reply_and_one_end()
        self.a_reply_that_has_ended_never_changes()
        self.the_version_counts_updates_and_closing_is_the_end()
        self.the_session_counts_its_messages()

    def replaying_gives_the_same_state(self) -> None:
        talk = self.talk
        assert replayed(talk.log) == talk.it
        assert decode_snapshot(encode_snapshot(talk.it)) == talk.it

    def every_event_survives_being_written_down(self) -> None:
        for event in self.talk.log:
            assert decode_event(encode_event(event)) == event

    def deltas_of_ended_replies_are_not_missed(self) -> None:
        running = self.talk.it.running
        kept = [
            event
            for event in self.talk.log
            if type_of(event) not in PRUNABLE_TYPES
            or (running is not None and event.seq > running.message.seq)
        ]
        assert replayed(kept) == self.talk.it

    def every_message_has_one_reply_and_one_end(self) -> None:
        talk = self.talk
        messages = self.messages(talk.log)
        replies = Counter(it.reply_to for it in messages if it.role == "assistant")
        assert all(count == 1 for count in replies.values())
        unbegun = {queued.reply_to for queued in talk.it.queue}
        assert set(replies) | unbegun == set(self.posts)
        assert not set(replies) & unbegun
        ends = Counter(
            event.data.message_id
            for event in talk.log
            if type_of(event) in _ENDS and isinstance(event.data, Message)
        )
        assert all(count == 1 for count in ends.values())
        assert {it.message_id for it in messages if it.status == "streaming"} == (
            set() if talk.it.running is None else {talk.it.running.message.message_id}
        )

    def a_reply_that_has_ended_never_changes(self) -> None:
        ended: set[str] = set()
        text: dict[str, str] = {}
        for event in self.talk.log:
            data = event.data
            message_id = getattr(data, "message_id", "")
            assert message_id not in ended
            if type_of(event) == "reply.started":
                text[message_id] = ""
            elif type_of(event) == "reply.delta":
                text[message_id] += data.text  # type: ignore[union-attr]
            elif type_of(event) in _ENDS:
                assert isinstance(data, Message)
                assert data.content == text.get(message_id, "")
                assert data.updated_seq == event.seq
                ended.add(message_id)

    def the_version_counts_updates_and_closing_is_the_end(self) -> None:
        talk = self.talk
        versions = [e.data.version for e in talk.log if type_of(e).startswith("session.")]  # type: ignore[union-attr]
        assert versions == list(range(1, talk.it.session.version + 1))
        closed = [e.seq for e in talk.log if type_of(e) == "session.closed"]
        assert closed in ([], [talk.it.seq])
        assert talk.it.active == (not closed)
        assert talk.it.active or not talk.it.unfinished

    def the_session_counts_its_messages(self) -> None:
        messages = self.messages(self.talk.log)
        assert self.talk.it.session.message_count == len(messages)
        seqs = [it.seq for it in messages]
        assert seqs == sorted(set(seqs))


TestConversation = ConversationMachine.TestCase
TestConversation.settings = settings(
    max_examples=300,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
