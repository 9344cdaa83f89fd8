from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from actors.assistant import Usage
from actors.assistant.responders import (
    Finish,
    ProviderRefused,
    ProviderTooSlow,
    ProviderUnreachable,
    ReplyCut,
    ReplyGarbled,
    ReplyWithheld,
)
from tests.actors.assistant.responders.conftest import KEY, PROMPT, Listen
from tests.actors.assistant.responders.fake_model_server import Exchange, FakeModelServer, piece

USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


async def good_day(exchange: Exchange) -> None:
    await exchange.begin()
    await exchange.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    await exchange.say("Good ", "day")
    await exchange.done(usage=USAGE, model="test-model-2")


def error(message: str, **fields: Any) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


# -- replies that come -------------------------------------------------------------------------


async def test_a_reply_is_streamed_piece_by_piece_with_its_usage(
    server: FakeModelServer, listen: Listen
) -> None:
    server.plays(good_day)
    async with listen() as listener:
        finish = await listener.hear()
    assert listener.pieces == ["Good ", "day"]
    usage = Usage(prompt_tokens=9, completion_tokens=2, model="test-model-2")
    assert finish == Finish(finish_reason="stop", usage=usage)


async def test_the_request_is_what_the_protocol_asks_for(
    server: FakeModelServer, listen: Listen
) -> None:
    server.plays(good_day)
    async with listen() as listener:
        await listener.hear()
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.body == {
        "model": "test-model",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Grüße"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_server_without_a_key_is_sent_none(server: FakeModelServer, listen: Listen) -> None:
    server.plays(good_day)
    async with listen(openai_key=None) as listener:
        await listener.hear()
    assert "authorization" not in server.requests[0].headers


async def test_a_reply_that_comes_byte_by_byte_is_the_same(
    server: FakeModelServer, listen: Listen
) -> None:
    async def trickle(exchange: Exchange) -> None:
        await exchange.begin()
        events = [": keep alive", "", "id: 1", f"data: {json.dumps(piece('Ahoi '))}", ""]
        events += ["data: " + json.dumps(piece("⚓ Grüße"), ensure_ascii=False), "", "data: [DONE]"]
        for byte in "\r\n".join([*events, "", ""]).encode():
            await exchange.send(bytes([byte]))
        await exchange.end()

    server.plays(trickle)
    async with listen() as listener:
        await listener.hear()
    assert listener.text == "Ahoi ⚓ Grüße"


async def test_two_replies_one_after_the_other_share_a_connection(
    server: FakeModelServer, listen: Listen
) -> None:
    server.plays(good_day, good_day)
    async with listen() as listener:
        await listener.hear()
        await listener.hear()
    assert len(server.requests) == 2
    assert server.connections == 1


async def test_a_reply_is_whole_though_the_server_never_ends_its_answer(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def hangs(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("all")
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.wait_gone()

    server.plays(hangs)
    async with listen(openai_stall_timeout_s=0.5) as listener:
        assert await listener.hear() == Finish()
    assert listener.text == "all"


async def test_a_reply_is_whole_though_the_connection_breaks_behind_its_end(
    server: FakeModelServer, listen: Listen
) -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("all")
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.close()

    server.plays(breaks)
    async with listen() as listener:
        assert await listener.hear() == Finish()


async def test_a_reply_that_reached_its_longest_length_is_a_reply(
    server: FakeModelServer, listen: Listen
) -> None:
    async def long(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("too lo")
        await exchange.done("length")

    server.plays(long)
    async with listen() as listener:
        assert await listener.hear() == Finish(finish_reason="length")


async def test_no_more_replies_are_written_at_once_than_is_set(
    server: FakeModelServer, listen: Listen
) -> None:
    hold = trio.Event()

    async def held(exchange: Exchange) -> None:
        await hold.wait()
        await good_day(exchange)

    server.plays(*[held] * 3)
    async with listen(openai_connections=2) as listener, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(listener.hear)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(server.requests) == 2
        hold.set()
    assert listener.pieces.count("day") == 3


# -- replies that are withheld or cut ----------------------------------------------------------


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls"])
async def test_a_reply_that_the_model_did_not_finish_is_an_error_that_says_why(
    server: FakeModelServer, listen: Listen, reason: str
) -> None:
    async def withheld(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("I may ")
        await exchange.done(reason)

    server.plays(withheld)
    async with listen() as listener:
        with pytest.raises(ReplyWithheld, match=reason):
            await listener.hear()
    assert listener.text == "I may "


async def test_a_line_cut_in_the_middle_of_a_token_ends_the_reply_with_its_part(
    server: FakeModelServer, listen: Listen
) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Good ")
        await exchange.send(b'data: {"choices":[{"delta":{"content":"d')
        await trio.testing.wait_all_tasks_blocked(0.01)
        await exchange.cut()

    server.plays(cut)
    async with listen() as listener:
        with pytest.raises(ReplyCut):
            await listener.hear()
    assert listener.text == "Good "
    assert len(server.requests) == 1


async def test_an_answer_that_ends_without_done_was_cut(
    server: FakeModelServer, listen: Listen
) -> None:
    async def ends(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Good ")
        await exchange.end()

    server.plays(ends)
    async with listen() as listener:
        with pytest.raises(ReplyCut, match=r"without \[DONE\]"):
            await listener.hear()
    assert listener.text == "Good "


async def test_an_error_in_the_middle_of_a_reply_ends_it_with_the_servers_words(
    server: FakeModelServer, listen: Listen
) -> None:
    async def fails(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Good ")
        await exchange.event({"error": {"message": "out of memory", "code": 500}})
        await exchange.end()

    server.plays(fails)
    async with listen() as listener:
        with pytest.raises(ProviderRefused) as caught:
            await listener.hear()
    assert str(caught.value) == "The model server failed: out of memory"
    assert listener.text == "Good "


async def test_a_reply_that_the_model_has_finished_is_whole_without_done(
    server: FakeModelServer, listen: Listen
) -> None:
    async def ends(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Good day")
        await exchange.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        await exchange.cut()

    server.plays(ends)
    async with listen() as listener:
        assert (await listener.hear()).finish_reason == "stop"
    assert listener.text == "Good day"


# -- garbage -----------------------------------------------------------------------------------


async def test_what_came_before_garbage_is_kept_though_it_came_in_one_packet(
    server: FakeModelServer, listen: Listen
) -> None:
    async def babble(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(b'data: {"choices":[{"delta":{"content":"Good "}}]}\n\n\xff\n\n')
        await exchange.wait_gone()

    server.plays(babble)
    async with listen() as listener:
        with pytest.raises(ReplyGarbled):
            await listener.hear()
    assert listener.text == "Good "


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: not json\n\n",
        b'data: {"choices": 7}\n\n',
        b'data: {"choices": [{"delta": {"content": 7}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n',
        b"data: \xff\xfe\n\n",
        b"\x00\x01\x02\n",
        b"<html>\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
async def test_garbage_in_a_stream_is_an_error_and_is_not_asked_for_again(
    server: FakeModelServer, listen: Listen, garbage: bytes
) -> None:
    async def babble(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(garbage)
        await exchange.wait_gone()

    server.plays(babble)
    async with listen() as listener:
        with pytest.raises(ReplyGarbled):
            await listener.hear()
    assert listener.pieces == []
    assert len(server.requests) == 1


async def test_a_line_without_end_is_given_up_at_its_bound(
    server: FakeModelServer, listen: Listen
) -> None:
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.begin()
        await exchange.say("Good ")
        while True:
            await exchange.send(b"x" * 65_536)
            sent += 65_536

    server.plays(endless)
    async with listen() as listener:
        with pytest.raises(ReplyGarbled, match="longer than"):
            await listener.hear()
    assert listener.text == "Good "
    assert sent < 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("text/html", {}),
        ("application/json", {}),
        ("text/event-stream", {"Content_Encoding": "gzip"}),
    ],
)
async def test_an_answer_that_is_no_stream_of_events_is_an_error(
    server: FakeModelServer, listen: Listen, content_type: str, headers: dict[str, str]
) -> None:
    async def page(exchange: Exchange) -> None:
        await exchange.begin(content_type, **headers)
        await exchange.send(b"<html>Hello</html>")
        await exchange.end()

    server.plays(page)
    async with listen() as listener:
        with pytest.raises(ReplyGarbled, match=content_type):
            await listener.hear()


async def test_an_answer_that_is_not_http_is_tried_again_and_then_an_error(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def babble(exchange: Exchange) -> None:
        await exchange.raw(b"SSH-2.0-OpenSSH_9.2\r\n")
        await exchange.close()

    server.plays(*[babble] * 2)
    async with listen(openai_retries=1) as listener:
        with pytest.raises(ProviderUnreachable):
            await listener.hear()
    assert len(server.requests) == 2


# -- refusals and retries ----------------------------------------------------------------------


async def test_a_refusal_is_shown_with_the_servers_words_and_without_the_key(
    server: FakeModelServer, listen: Listen
) -> None:
    async def refuses(exchange: Exchange) -> None:
        words = f"Incorrect API key provided: {KEY} (or sk-te*********7890)."
        await exchange.refuse(401, error(words, code="invalid_api_key"))

    server.plays(refuses)
    async with listen() as listener:
        with pytest.raises(ProviderRefused) as caught:
            await listener.hear()
    assert caught.value.status == 401
    assert "answered 401: Incorrect API key provided: [key]" in str(caught.value)
    for part in (KEY, "sk-te", "7890"):
        assert part not in str(caught.value)
    assert len(server.requests) == 1


async def test_a_refusal_of_any_size_is_shown_in_short(
    server: FakeModelServer, listen: Listen
) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            await exchange.raw(b"no " * 10_000)

    server.plays(endless)
    async with listen() as listener:
        with pytest.raises(ProviderRefused) as caught:
            await listener.hear()
    assert str(caught.value).startswith("The model server answered 400: no no no")
    assert len(str(caught.value)) < 600


async def test_a_refusal_that_never_ends_is_shown_as_far_as_it_came(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def stalls(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 403 No\r\nContent-Length: 99\r\n\r\nnot for you")
        await exchange.wait_gone()

    server.plays(stalls)
    async with listen() as listener:
        with pytest.raises(ProviderRefused, match="answered 403: not for you"):
            await listener.hear()


async def test_a_redirect_is_not_followed(server: FakeModelServer, listen: Listen) -> None:
    async def elsewhere(exchange: Exchange) -> None:
        await exchange.refuse(307, b"", Location=server.url)

    server.plays(elsewhere)
    async with listen() as listener:
        with pytest.raises(ProviderRefused, match="answered 307"):
            await listener.hear()
    assert len(server.requests) == 1


async def test_a_server_error_is_tried_again_and_its_reply_comes_once(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.refuse(500, error("boom"))

    server.plays(breaks, breaks, good_day)
    async with listen() as listener:
        await listener.hear()
    assert listener.text == "Good day"
    assert [request.body for request in server.requests] == [server.requests[0].body] * 3


async def test_retries_are_bounded_and_the_last_error_is_shown(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.refuse(503, error(f"boom {len(server.requests)}"))

    server.plays(*[breaks] * 4)
    async with listen(openai_retries=3) as listener:
        with pytest.raises(ProviderRefused, match="boom 4"):
            await listener.hear()


async def test_retry_after_is_honoured(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    times = []

    async def busy(exchange: Exchange) -> None:
        times.append(trio.current_time())
        await exchange.refuse(429, error("slow down"), Retry_After="7")

    async def free(exchange: Exchange) -> None:
        times.append(trio.current_time())
        await good_day(exchange)

    server.plays(busy, free)
    async with listen() as listener:
        await listener.hear()
    assert listener.text == "Good day"
    assert 7 <= times[1] - times[0] < 8


@pytest.mark.parametrize(
    ("retry_after", "settings"), [("61", {}), ("30", {"openai_reply_timeout_s": 20.0})]
)
async def test_who_is_told_to_wait_too_long_gets_the_error_at_once(
    server: FakeModelServer,
    listen: Listen,
    virtual_time: MockClock,
    retry_after: str,
    settings: dict[str, float],
) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.refuse(429, error("slow down"), Retry_After=retry_after)

    server.plays(busy)
    async with listen(**settings) as listener:
        began = trio.current_time()
        with pytest.raises(ProviderRefused, match="slow down"):
            await listener.hear()
        assert trio.current_time() - began < 1


async def test_a_lack_of_credit_is_not_tried_again(server: FakeModelServer, listen: Listen) -> None:
    async def unpaid(exchange: Exchange) -> None:
        await exchange.refuse(429, error("no credit", code="insufficient_quota"))

    server.plays(unpaid)
    async with listen() as listener:
        with pytest.raises(ProviderRefused, match="no credit"):
            await listener.hear()


async def test_a_connection_that_is_lost_before_the_first_token_is_tried_again(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def before_the_head(exchange: Exchange) -> None:
        await exchange.close()

    async def behind_the_head(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        await exchange.close()

    server.plays(before_the_head, behind_the_head, good_day)
    async with listen() as listener:
        await listener.hear()
    assert listener.text == "Good day"


async def test_a_server_that_is_not_there_cannot_be_reached(
    listen: Listen, virtual_time: MockClock
) -> None:
    async with listen(openai_url="http://127.0.0.1:9/v1", openai_retries=1) as listener:
        with pytest.raises(ProviderUnreachable):
            await listener.hear()


# -- deadlines ---------------------------------------------------------------------------------


async def test_a_server_that_never_answers_is_given_up_and_not_asked_again(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    server.plays(Exchange.wait_gone)
    async with listen() as listener:
        began = trio.current_time()
        with pytest.raises(ProviderTooSlow, match="did not begin its reply within 60 s"):
            await listener.hear()
        assert 60 <= trio.current_time() - began < 61
    assert len(server.requests) == 1


async def test_a_server_that_only_keeps_the_line_alive_has_not_begun(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def alive(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            await exchange.send(b": processing\n\n")
            await trio.sleep(1)

    server.plays(alive)
    async with listen() as listener:
        with pytest.raises(ProviderTooSlow, match="begin its reply"):
            await listener.hear()


async def test_a_reply_that_stalls_is_given_up_with_its_part(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def stalls(exchange: Exchange) -> None:
        await exchange.begin()
        for text in ("one ", "two "):
            await exchange.say(text)
            await trio.sleep(29)
        await exchange.wait_gone()

    server.plays(stalls)
    async with listen() as listener:
        with pytest.raises(ProviderTooSlow, match="did not go on with its reply within 30 s"):
            await listener.hear()
    assert listener.text == "one two "


async def test_a_reply_without_end_is_given_up_after_its_whole_time(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def drones_on(exchange: Exchange) -> None:
        await exchange.begin()
        while True:
            await exchange.say("and ")
            await trio.sleep(10)

    server.plays(drones_on)
    async with listen() as listener:
        began = trio.current_time()
        with pytest.raises(ProviderTooSlow, match="did not finish its reply within 600 s"):
            await listener.hear()
        assert 600 <= trio.current_time() - began < 601
    assert len(listener.pieces) == 60


async def test_a_slow_listener_is_not_taken_for_a_slow_server(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def dawdle(text: str) -> None:
        await trio.sleep(100)

    server.plays(good_day)
    async with listen() as listener:
        finish = await listener.responder.respond(PROMPT, dawdle)
    assert finish.finish_reason == "stop"


# -- cancellation ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["before the answer", "between tokens", "in the listener"])
async def test_cancelling_closes_the_connection_and_the_server_sees_it(
    server: FakeModelServer, listen: Listen, where: str
) -> None:
    heard, gone = trio.Event(), trio.Event()

    async def answers(exchange: Exchange) -> None:
        if where != "before the answer":
            await exchange.begin()
            await exchange.say("Good ", "and ", "more ")
        else:
            heard.set()
        await exchange.wait_gone()
        gone.set()

    async def emit(text: str) -> None:
        heard.set()
        if where == "in the listener":
            await trio.sleep_forever()

    server.plays(answers)
    async with listen() as listener, trio.open_nursery() as nursery:
        nursery.start_soon(listener.responder.respond, PROMPT, emit)
        await heard.wait()
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    with trio.fail_after(40):
        await gone.wait()


async def test_what_the_listener_raises_comes_out_and_closes_the_connection(
    server: FakeModelServer, listen: Listen
) -> None:
    gone = trio.Event()

    async def answers(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Good ", "day")
        await exchange.wait_gone()
        gone.set()

    async def emit(text: str) -> None:
        raise KeyError(text)

    server.plays(answers)
    async with listen() as listener:
        with pytest.raises(KeyError):
            await listener.responder.respond(PROMPT, emit)
        with trio.fail_after(40):
            await gone.wait()


async def test_a_responder_goes_on_working_after_replies_that_were_cancelled(
    server: FakeModelServer, listen: Listen, virtual_time: MockClock
) -> None:
    async def stalls(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.say("Good ")
        await exchange.wait_gone()

    server.plays(*[stalls] * 5, good_day)
    async with listen(openai_connections=1) as listener:
        for _ in range(5):
            with trio.move_on_after(1):
                await listener.hear()
        listener.pieces.clear()
        await listener.hear()
    assert listener.text == "Good day"
