from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.assistant import (
    PRUNABLE_TYPES,
    CancelReply,
    ChangedAfter,
    ConversationEvent,
    CreatedAfter,
    MessagePage,
    Recover,
    type_of,
)
from tests.actors.assistant.dialogue import Dialogue

Reader = Callable[..., CreatedAfter | ChangedAfter]


def read(reader: CreatedAfter | ChangedAfter, talk: Dialogue, *, step: int = 3) -> MessagePage:
    """Feed a reader from a log in stretches, as a store would."""
    while not reader.done:
        stretch = [event for event in talk.log if event.seq > reader.position][:step]
        through = stretch[-1].seq if stretch else talk.it.seq
        reader.feed(stretch, through=through, newest=talk.it.seq)
    return reader.page()


def contents(page: MessagePage) -> list[str]:
    return [message.content for message in page.messages]


def test_pages_of_messages_join_without_gap_or_overlap() -> None:
    talk = Dialogue()
    for number in range(5):
        talk.post(f"q{number}")
        talk.answer(f"a{number}")
    after: int | None = 0
    seen = []
    while after is not None:
        page = read(CreatedAfter(after=after, limit=3), talk)
        seen += contents(page)
        after = page.next_after
    assert seen == [f"{kind}{number}" for number in range(5) for kind in "qa"]


def test_a_page_shows_messages_as_they_are_now_and_reads_only_as_far_as_that_takes() -> None:
    talk = Dialogue()
    talk.post("q0")
    talk.start()
    talk.post("q1")
    talk.add("a0")
    talk.complete()
    ended = talk.it.seq
    talk.post("q2")
    page = read(CreatedAfter(after=0, limit=2), talk, step=1)
    assert contents(page) == ["q0", "a0"]
    assert (page.seq, page.next_after) == (ended, page.messages[-1].seq)


def test_the_reply_that_runs_has_its_text_so_far() -> None:
    talk = Dialogue()
    talk.post("q")
    talk.start()
    talk.add("par")
    talk.add("tial")
    page = read(CreatedAfter(after=0, limit=20), talk)
    assert contents(page) == ["q", "partial"]
    assert page.messages[1] == talk.running
    assert page.next_after is None


def test_a_full_page_knows_that_there_is_no_next_one() -> None:
    talk = Dialogue()
    talk.post("q")
    talk.answer("a")
    assert read(CreatedAfter(after=0, limit=2), talk).next_after is None


@pytest.mark.parametrize("cls", [CreatedAfter, ChangedAfter])
def test_a_page_behind_the_end_is_empty_and_goes_on_from_the_newest(cls: Reader) -> None:
    talk = Dialogue()
    page = read(cls(after=99, limit=2), talk)
    assert (page.messages, page.next_after, page.seq) == ((), None, talk.it.seq)


@pytest.mark.parametrize("cls", [CreatedAfter, ChangedAfter])
def test_pruned_deltas_are_not_missed(cls: Reader) -> None:
    talk = Dialogue()
    talk.post("q")
    talk.answer("whole")
    whole = read(cls(after=0, limit=9), talk)
    talk.log = [event for event in talk.log if type_of(event) not in PRUNABLE_TYPES]
    assert read(cls(after=0, limit=9), talk) == whole


@pytest.mark.parametrize("cls", [CreatedAfter, ChangedAfter])
def test_a_page_is_full_at_its_weight_too(cls: Reader) -> None:
    talk = Dialogue()
    for number in range(5):
        talk.post(f"q{number}")
        talk.answer("x" * 262_144)
    talk.post("next")
    page = read(cls(after=0, limit=100), talk)
    assert len(page.messages) == 8
    assert page.next_after is not None
    rest = read(cls(after=page.next_after, limit=100), talk)
    assert [it[:4] for it in contents(rest)] == ["q4", "xxxx", "next"]


def test_a_page_that_was_full_takes_nothing_more_though_it_became_lighter() -> None:
    talk = Dialogue()
    for _ in range(3):
        talk.post("q")
        talk.answer("x" * 262_144)
    talk.post("q")
    talk.start()
    talk.add("x" * 262_144)
    talk.post("skipped")
    talk.ask(Recover(resume=True))
    talk.post("after it")
    page = read(CreatedAfter(after=0, limit=100), talk)
    assert len(page.messages) == 8
    assert page.next_after is not None
    rest = read(CreatedAfter(after=page.next_after, limit=100), talk)
    assert contents(rest) == ["skipped", "after it"]


def test_a_poller_gets_every_change_and_where_to_go_on() -> None:
    talk = Dialogue()
    talk.post("q0")
    talk.start()
    first = read(CreatedAfter(after=0, limit=20), talk)
    assert [message.status for message in first.messages] == ["complete", "streaming"]
    talk.add("a0")
    talk.post("q1")
    second = read(ChangedAfter(after=first.seq, limit=20), talk)
    assert contents(second) == ["a0", "q1"]
    talk.complete()
    third = read(ChangedAfter(after=second.seq, limit=20), talk)
    assert [(it.content, it.status) for it in third.messages] == [("a0", "complete")]
    assert third.seq == talk.it.seq
    assert read(ChangedAfter(after=third.seq, limit=20), talk).messages == ()


def test_text_added_to_a_reply_that_began_earlier_comes_with_all_that_was_before() -> None:
    talk = Dialogue()
    talk.post("q0")
    talk.start()
    for text in ("one ", "two ", "three "):
        talk.add(text)
    since = talk.it.seq
    talk.post("q1")
    talk.add("four")
    page = read(ChangedAfter(after=since, limit=20), talk, step=2)
    assert contents(page) == ["one two three four", "q1"]
    assert page.messages[0] == talk.running


def test_a_reply_that_was_begun_anew_loses_its_former_text() -> None:
    talk = Dialogue()
    talk.post("q")
    talk.start()
    talk.add("void")
    since = talk.it.seq
    talk.ask(Recover(resume=True))
    talk.add("new")
    for reader in (CreatedAfter(after=0, limit=9), ChangedAfter(after=since, limit=9)):
        assert contents(read(reader, talk))[-1] == "new"


def test_a_reply_that_never_began_is_among_the_messages() -> None:
    talk = Dialogue()
    talk.post("q")
    talk.ask(CancelReply())
    page = read(CreatedAfter(after=0, limit=9), talk)
    assert [(it.role, it.status) for it in page.messages] == [
        ("user", "complete"),
        ("assistant", "cancelled"),
    ]


def test_a_log_without_the_beginning_of_a_reply_is_not_read_for_ever() -> None:
    talk = Dialogue()
    talk.post("q")
    talk.start()
    talk.add("a")
    log: list[ConversationEvent] = [event for event in talk.log if event.seq != talk.running.seq]
    talk.log = log
    with pytest.raises(ValueError, match="lacks the beginning"):
        read(ChangedAfter(after=talk.running.seq, limit=9), talk)


def test_a_conversation_that_was_erased_has_an_empty_page() -> None:
    reader = CreatedAfter(after=0, limit=9)
    reader.feed((), through=0, newest=0)
    assert reader.done
    assert reader.page().messages == ()
