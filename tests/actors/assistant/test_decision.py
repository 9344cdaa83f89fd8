from __future__ import annotations

import msgspec
import pytest

from actors.assistant import (
    AddText,
    Busy,
    CancelReply,
    Close,
    CompleteReply,
    ConversationExists,
    ConversationNotFound,
    Create,
    FailReply,
    IdempotencyMismatch,
    NotActive,
    PostMessage,
    Recover,
    StartReply,
    Update,
    Usage,
    VersionConflict,
    decide,
    encode_event,
)
from actors.assistant.bounds import MAX_ATTEMPTS, MAX_QUEUED, MAX_REPLY_CHARS
from tests.actors.assistant.dialogue import START, Dialogue


def test_a_new_conversation_has_every_field_of_the_contract() -> None:
    talk = Dialogue()
    assert msgspec.json.decode(encode_event(talk.log[0])) == {
        "seq": 1,
        "type": "session.created",
        "at": "2026-01-01T00:00:00.000Z",
        "data": {
            "sessionId": "s1",
            "businessId": "B1",
            "locationId": "L0100001",
            "userId": "u1",
            "sessionType": "general",
            "status": "active",
            "title": None,
            "metadata": {},
            "messageCount": 0,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z",
            "lastActivityAt": "2026-01-01T00:00:00.000Z",
            "version": 1,
        },
    }


def test_a_message_goes_through_its_reply_event_by_event() -> None:
    talk = Dialogue()
    talk.post("hi", metadata={"from": "phone"}, key="k1")
    talk.start()
    talk.add("Good ")
    talk.add("day")
    talk.wait(seconds=1)
    usage = Usage(prompt_tokens=1, completion_tokens=2, model="m")
    talk.complete(finish_reason="stop", usage=usage)
    frames = [msgspec.json.decode(encode_event(event)) for event in talk.log[1:]]
    assert [(frame["seq"], frame["type"]) for frame in frames] == [
        (2, "message.created"),
        (3, "reply.started"),
        (4, "reply.delta"),
        (5, "reply.delta"),
        (6, "reply.completed"),
    ]
    assert frames[0]["data"] == {
        "messageId": "m1",
        "sessionId": "s1",
        "seq": 2,
        "role": "user",
        "content": "hi",
        "status": "complete",
        "metadata": {"from": "phone"},
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedSeq": 2,
        "replyId": "r1",
        "idempotencyKey": "k1",
    }
    assert frames[2]["data"] == {"messageId": "r1", "messageSeq": 3, "text": "Good "}
    assert frames[4]["at"] == "2026-01-01T00:00:01.000Z"
    assert frames[4]["data"] == {
        "messageId": "r1",
        "sessionId": "s1",
        "seq": 3,
        "role": "assistant",
        "content": "Good day",
        "status": "complete",
        "metadata": {},
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedSeq": 6,
        "replyTo": "m1",
        "finishReason": "stop",
        "usage": {"promptTokens": 1, "completionTokens": 2, "model": "m"},
    }
    assert talk.it.session.message_count == 2
    assert talk.it.session.last_activity_at == "2026-01-01T00:00:01.000Z"
    assert talk.it.session.updated_at == "2026-01-01T00:00:00.000Z"


def test_nothing_can_be_asked_of_a_conversation_that_does_not_exist() -> None:
    with pytest.raises(ConversationNotFound):
        decide(None, Close(), START)


def test_an_id_opens_only_one_conversation() -> None:
    with pytest.raises(ConversationExists):
        Dialogue().ask(Create(session_id="s1", business_id="B1", user_id="u1"))


# -- updating ----------------------------------------------------------------------------------


def test_an_update_sets_what_it_names_and_raises_the_version() -> None:
    talk = Dialogue()
    talk.wait(seconds=2)
    talk.ask(Update(title="Tide", metadata={"a": 1}, location_id="L2", session_type="billing"))
    session = talk.it.session
    assert (session.title, session.metadata) == ("Tide", {"a": 1})
    assert (session.location_id, session.session_type) == ("L2", "billing")
    assert (session.version, session.updated_at) == (2, "2026-01-01T00:00:02.000Z")
    talk.ask(Update(title=None))
    assert talk.it.session.title is None
    assert talk.it.session.metadata == {"a": 1}


def test_an_update_that_changes_nothing_has_no_event() -> None:
    talk = Dialogue(title="Tide")
    assert talk.ask(Update(title="Tide", status="active")) == []
    assert talk.ask(Update()) == []


def test_metadata_that_differs_only_in_the_kind_of_value_is_a_change() -> None:
    talk = Dialogue(metadata={"n": 1})
    assert talk.ask(Update(metadata={"n": True}))
    assert talk.it.session.metadata == {"n": True}


def test_an_update_with_a_stale_version_is_refused_with_both_versions() -> None:
    talk = Dialogue()
    talk.ask(Update(title="a", expected_version=1))
    with pytest.raises(VersionConflict) as caught:
        talk.ask(Update(title="b", expected_version=1))
    assert (caught.value.expected, caught.value.version) == (1, 2)
    assert talk.it.session.title == "a"


def test_messages_leave_the_version_alone() -> None:
    talk = Dialogue()
    talk.post()
    talk.answer("yes")
    assert talk.ask(Update(title="a", expected_version=1))


# -- closing -----------------------------------------------------------------------------------


def test_closing_ends_every_unfinished_reply_and_then_the_session() -> None:
    talk = Dialogue()
    for _ in range(3):
        talk.post()
    talk.start()
    talk.add("par")
    events = talk.ask(Close(reason="replaced"))
    assert [event.seq for event in events] == [7, 8, 9, 10]
    assert talk.types[-4:] == ["reply.cancelled"] * 3 + ["session.closed"]
    session = talk.it.session
    assert (session.status, session.closed_reason, session.version) == ("closed", "replaced", 2)
    assert session.message_count == 6
    assert [it for it in talk.said() if it[0] == "assistant"] == [
        ("assistant", "par", "cancelled"),
        ("assistant", "", "cancelled"),
        ("assistant", "", "cancelled"),
    ]
    assert talk.it.unfinished == ()


def test_an_update_can_close_and_change_at_once_in_one_version() -> None:
    talk = Dialogue()
    talk.ask(Update(title="done", status="closed", expected_version=1))
    session = talk.it.session
    assert (session.title, session.status, session.version) == ("done", "closed", 2)
    assert talk.types == ["session.created", "session.closed"]


@pytest.mark.parametrize("command", [Update(title="a"), Update(status="active")])
def test_a_closed_conversation_is_never_changed(command: Update) -> None:
    talk = Dialogue()
    talk.ask(Close())
    with pytest.raises(NotActive):
        talk.ask(command)


def test_a_closed_conversation_takes_no_message() -> None:
    talk = Dialogue()
    talk.ask(Close())
    with pytest.raises(NotActive):
        talk.post()


@pytest.mark.parametrize("command", [Close(), Update(status="closed"), CancelReply(), Recover()])
def test_ending_what_has_ended_has_no_event(command: Close | Update | CancelReply) -> None:
    talk = Dialogue()
    talk.ask(Close())
    assert talk.ask(command) == []


# -- while a reply is under way ----------------------------------------------------------------


def test_a_message_that_is_enqueued_waits_for_the_reply_before_it() -> None:
    talk = Dialogue()
    talk.post("one")
    talk.post("two")
    assert talk.it.unfinished == ("r1", "r2")
    assert talk.ask(StartReply(reply_id="r2")) == []
    talk.start()
    assert talk.it.next_reply is None
    assert talk.ask(StartReply(reply_id="r2")) == []
    talk.complete()
    assert talk.start().reply_to == "m2"


@pytest.mark.parametrize("begun", [True, False])
def test_a_message_that_rejects_waiting_is_refused_while_a_reply_is_unfinished(
    begun: bool,
) -> None:
    talk = Dialogue()
    talk.post(on_busy="reject")
    if begun:
        talk.start()
    with pytest.raises(Busy) as caught:
        talk.post(on_busy="reject")
    assert (caught.value.unfinished, caught.value.line_full) == (1, False)


def test_a_message_that_interrupts_cancels_the_running_reply_and_keeps_its_text() -> None:
    talk = Dialogue()
    talk.post("one")
    talk.post("two")
    talk.start()
    talk.add("half a rep")
    events = talk.post("three", on_busy="interrupt")
    assert [event.seq for event in events] == [6, 7]
    assert talk.types[-2:] == ["reply.cancelled", "message.created"]
    assert ("assistant", "half a rep", "cancelled") in talk.said()
    assert talk.it.unfinished == ("r2", "r3")


def test_a_message_that_interrupts_nothing_is_taken_as_any_other() -> None:
    talk = Dialogue()
    talk.post(on_busy="interrupt")
    assert talk.types[-1] == "message.created"


def test_the_line_of_replies_is_bounded_in_number() -> None:
    talk = Dialogue()
    for _ in range(MAX_QUEUED):
        talk.post()
    with pytest.raises(Busy) as caught:
        talk.post()
    assert caught.value.line_full
    talk.start()
    assert talk.post()


def test_the_line_of_replies_is_bounded_in_weight() -> None:
    talk = Dialogue()
    for _ in range(8):
        talk.post("x" * 65_536)
    with pytest.raises(Busy) as caught:
        talk.post("x")
    assert caught.value.line_full


# -- cancelling --------------------------------------------------------------------------------


def test_cancelling_keeps_the_text_and_is_idempotent() -> None:
    talk = Dialogue()
    talk.post()
    talk.start()
    talk.add("par")
    talk.add("tial")
    assert len(talk.ask(CancelReply())) == 1
    assert talk.said()[-1] == ("assistant", "partial", "cancelled")
    assert talk.ask(CancelReply()) == []


def test_news_of_a_cancelled_reply_comes_to_nothing() -> None:
    talk = Dialogue()
    talk.post()
    talk.post()
    talk.start()
    talk.ask(CancelReply())
    talk.start()
    for late in (
        AddText(reply_id="r1", attempt=1, text="late"),
        CompleteReply(reply_id="r1", attempt=1),
        FailReply(reply_id="r1", attempt=1, error="late"),
        CancelReply(reply_id="r1"),
    ):
        assert talk.ask(late) == []


def test_a_reply_can_be_cancelled_by_its_id_while_it_is_in_line() -> None:
    talk = Dialogue()
    talk.post()
    talk.post()
    talk.start()
    (event,) = talk.ask(CancelReply(reply_id="r2"))
    message = msgspec.json.decode(encode_event(event))["data"]
    assert (message["seq"], message["replyTo"], message["status"]) == (event.seq, "m2", "cancelled")
    assert talk.it.unfinished == ("r1",)


def test_cancelling_before_the_reply_has_begun_cancels_the_next_in_line() -> None:
    talk = Dialogue()
    talk.post()
    talk.post()
    talk.ask(CancelReply())
    assert talk.it.unfinished == ("r2",)


# -- failing and recovering --------------------------------------------------------------------


def test_a_failed_reply_keeps_its_text_and_shows_the_error() -> None:
    talk = Dialogue()
    talk.post()
    talk.start()
    talk.add("so far")
    talk.fail("the model\0 is out \ud800of order" + "!" * 2_000)
    failed = talk.it.recent[-1]
    assert (failed.content, failed.status) == ("so far", "failed")
    assert failed.error is not None
    assert failed.error.startswith("the model\ufffd is out \ufffdof order!")
    assert len(failed.error) == 1_000


def test_a_reply_that_a_crash_cut_off_is_marked_interrupted_and_the_line_goes_on() -> None:
    talk = Dialogue()
    talk.post()
    talk.post()
    talk.start()
    talk.add("so far")
    talk.ask(Recover())
    assert talk.types[-1] == "reply.failed"
    assert (talk.it.recent[-1].content, talk.it.recent[-1].status) == ("so far", "interrupted")
    assert talk.start().message_id == "r2"


def test_a_reply_that_a_crash_cut_off_can_be_begun_anew_under_its_id() -> None:
    talk = Dialogue()
    talk.post()
    began = talk.start()
    talk.add("so far")
    talk.ask(Recover(resume=True))
    assert talk.types[-1] == "reply.started"
    assert (talk.running.message_id, talk.running.seq) == (began.message_id, began.seq)
    assert (talk.running.content, talk.attempt) == ("", 2)
    assert talk.it.session.message_count == 2


def test_news_of_an_earlier_attempt_comes_to_nothing() -> None:
    talk = Dialogue()
    talk.post()
    talk.start()
    talk.ask(Recover(resume=True))
    assert talk.ask(AddText(reply_id="r1", attempt=1, text="late")) == []
    assert talk.ask(CompleteReply(reply_id="r1", attempt=1)) == []
    assert talk.ask(AddText(reply_id="r1", attempt=2, text="anew"))


def test_a_reply_that_is_cut_off_every_time_is_given_up() -> None:
    talk = Dialogue()
    talk.post()
    talk.start()
    for _ in range(MAX_ATTEMPTS):
        talk.ask(Recover(resume=True))
    assert talk.it.running is None
    assert talk.it.recent[-1].status == "interrupted"


def test_recovering_touches_nothing_when_no_reply_was_running() -> None:
    talk = Dialogue()
    talk.post()
    assert talk.ask(Recover(resume=True)) == []
    assert talk.it.unfinished == ("r1",)


def test_a_reply_without_end_fails_with_what_fits() -> None:
    talk = Dialogue()
    talk.post()
    talk.start()
    talk.add("x" * MAX_REPLY_CHARS)
    talk.add("y")
    failed = talk.it.recent[-1]
    assert (failed.status, len(failed.content)) == ("failed", MAX_REPLY_CHARS)
    assert failed.error is not None
    assert str(MAX_REPLY_CHARS) in failed.error


def test_text_of_a_model_is_made_fit_to_be_kept() -> None:
    talk = Dialogue()
    talk.post()
    talk.start()
    assert talk.add("") == []
    (event,) = talk.add("a\0b\udc00c")
    assert b"a\xef\xbf\xbdb\xef\xbf\xbdc" in encode_event(event)


# -- idempotency -------------------------------------------------------------------------------


def test_a_retry_has_no_event_even_after_the_conversation_was_closed() -> None:
    talk = Dialogue()
    talk.post("hi", key="k", metadata={"a": 1, "b": 2})
    talk.post("another", on_busy="enqueue")
    assert talk.post("hi", key="k", metadata={"b": 2, "a": 1}) == []
    assert talk.post("hi", key="k", metadata={"a": 1, "b": 2}, on_busy="reject") == []
    talk.ask(Close())
    assert talk.post("hi", key="k", metadata={"a": 1, "b": 2}) == []


@pytest.mark.parametrize("fields", [{"content": "ho"}, {"content": "hi", "metadata": {"a": 1}}])
def test_a_key_cannot_be_used_for_another_body(fields: dict[str, object]) -> None:
    talk = Dialogue()
    talk.post("hi", key="k")
    with pytest.raises(IdempotencyMismatch) as caught:
        talk.post(**fields, key="k")  # type: ignore[arg-type]
    assert caught.value.message_id == "m1"


def test_a_key_is_free_again_after_a_day() -> None:
    talk = Dialogue()
    talk.post("hi", key="k")
    talk.wait(hours=23, minutes=59)
    assert talk.post("hi", key="k") == []
    talk.wait(minutes=1)
    assert talk.post("hi", key="k")


def test_a_refused_message_leaves_its_key_free() -> None:
    talk = Dialogue()
    talk.post()
    with pytest.raises(Busy):
        talk.post("hi", key="k", on_busy="reject")
    talk.answer("yes")
    assert talk.post("hi", key="k", on_busy="reject")


def test_commands_survive_being_written_down() -> None:
    command = PostMessage(message_id="m", reply_id="r", content="hi", key="k")
    body = msgspec.json.encode(command)
    assert msgspec.json.decode(body, type=PostMessage) == command
