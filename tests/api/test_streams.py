"""Live streams over real sockets: resume, ends, and clients that misbehave."""

from __future__ import annotations

import random  # noqa: TID251 - a seed of the test's own
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from wsproto.events import BytesMessage, TextMessage

from actors.assistant.settings import AssistantSettings
from api.settings import StreamSettings
from engine.stream import StreamLimits
from tests.api.conversing import FAST, Talk, conversing
from tests.api.wire import Closed, Line, Refused

SLOW = AssistantSettings(echo_pause_s=30)


async def test_a_subscriber_gets_history_then_live_without_a_seam(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        await talk.post(session_id, "before")
        async with talk.line(session_id, after=0) as line:
            ready = await line.next()
            assert (ready["type"], ready["after"]) == ("ready", 0)
            await line.until("reply.completed")
            await talk.post(session_id, "after that")
            await line.until("reply.completed")
        seqs = [event["seq"] for event in line.events]
        assert seqs == list(range(1, len(seqs) + 1))
        assert line.events[0]["type"] == "session.created"


async def test_without_after_a_subscriber_starts_from_now(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            assert await line.next() == {"type": "ready", "seq": 1, "after": 1}
            posted = await talk.post(session_id, "hello")
            assert (await line.next())["data"] == posted


async def test_the_seq_that_a_post_returned_is_never_beyond_the_newest(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        for number in range(20):
            posted = await talk.post(session_id, f"m{number}")
            async with talk.line(session_id, after=posted["seq"]) as line:
                assert (await line.next())["type"] == "ready"


async def test_beyond_the_newest_is_an_error_frame_and_a_close(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id, after=99) as line:
            assert (await line.next())["type"] == "error"
            assert (await line.closed()).code == 1008
        answer = await talk.client.get(f"/api/sessions/{session_id}/stream?after=99")
        assert '"type":"error"' in answer.text


async def test_a_subscriber_cut_a_hundred_times_sees_what_one_that_stayed_saw(
    tmp_path: Path,
) -> None:
    settings = AssistantSettings(echo_pause_s=0.005)
    async with conversing(tmp_path, assistant=settings) as talk, trio.open_nursery() as nursery:
        session_id = await talk.open_session()
        cut_off = trio.Event()

        async def write() -> None:
            while not cut_off.is_set():
                posted = await talk.post(session_id, "word " * 60)
                await stayed.until("reply.completed")
                assert stayed.events[-1]["data"]["replyTo"] == posted["messageId"]
            await talk.client.patch(f"/api/sessions/{session_id}", json={"status": "closed"})
            assert (await stayed.closed()).code == 1000

        async with talk.line(session_id, after=0) as stayed:
            nursery.start_soon(write)
            seen = await _seen_with_cuts(talk, session_id, cuts=100, cut_off=cut_off)
            with trio.fail_after(40):
                while stayed.events[-1]["type"] != "session.closed":
                    await trio.sleep(0.01)
    assert seen == stayed.events
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))


async def _seen_with_cuts(
    talk: Talk, session_id: str, *, cuts: int, cut_off: trio.Event
) -> list[dict[str, Any]]:
    """Follow to the end, cut off so many times in the middle of a reply, without a close."""
    chance, seen = random.Random(7), list[dict[str, Any]]()
    while not seen or seen[-1]["type"] != "session.closed":
        with trio.CancelScope() as scope, suppress(Closed):
            if not cut_off.is_set():
                scope.deadline = trio.current_time() + chance.uniform(0.005, 0.15)
            async with talk.line(session_id, after=seen[-1]["seq"] if seen else 0) as line:
                while True:
                    frame = await line.next()
                    if "at" in frame:
                        seen.append(frame)
        if seen and seen[-1]["type"] in {"reply.started", "reply.delta"}:
            cuts -= 1
        if not cuts:
            cut_off.set()
    return seen


async def test_sse_resumes_by_last_event_id(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        await talk.post(session_id, "one two three")
        url = f"/api/sessions/{session_id}/stream"
        ids = await _sse_ids(talk, f"{url}?after=0", until="reply.completed")
        assert ids == list(range(len(ids)))  # that of the ready frame is where it starts
        more = await _sse_ids(talk, f"{url}?after=0", until="reply.completed", last=3)
        assert more == ids[3:]
        await talk.client.patch(f"/api/sessions/{session_id}", json={"status": "closed"})
        whole = await talk.client.get(f"{url}?after=0")
        assert "session.closed" in whole.text
        over = await talk.client.get(url, headers={"Last-Event-ID": str(len(ids))})
        assert over.status_code == 204


async def _sse_ids(talk: Talk, url: str, *, until: str, last: int | None = None) -> list[int]:
    resume = "" if last is None else f"Last-Event-ID: {last}\r\n"
    request = f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1\r\n{resume}\r\n"
    text = ""
    with trio.fail_after(40):
        async with await trio.open_tcp_stream("127.0.0.1", talk.port) as stream:
            await stream.send_all(request.encode())
            while f'"type":"{until}"' not in text:
                data = await stream.receive_some()
                assert data, text
                text += data.decode()
    assert "content-type: text/event-stream" in text
    return [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]


async def test_a_stream_refuses_before_it_is_accepted(tmp_path: Path) -> None:
    limits = StreamSettings(per_session=1)
    async with conversing(tmp_path, streams=limits) as talk:
        session_id = await talk.open_session()
        for path, after, status in (("nope", None, 404), (session_id, "x", 400)):
            with pytest.raises(Refused) as refused:
                async with talk.line(path, after=after):
                    pass
            assert refused.value.status == status
        async with talk.line(session_id) as line:
            await line.next()
            with pytest.raises(Refused) as refused:
                async with talk.line(session_id):
                    pass
            assert refused.value.status == 503
        json = {"Accept": "application/json"}
        answer = await talk.client.get(f"/api/sessions/{session_id}/stream", headers=json)
        assert answer.status_code == 406


async def test_a_client_talks_over_its_websocket(tmp_path: Path) -> None:
    async with conversing(tmp_path, assistant=SLOW) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            for _ in range(2):
                await line.say(type="message", id="k1", content="hello")
                ack = await line.until("ack")
                assert (ack["id"], ack["message"]["content"]) == ("k1", "hello")
            await line.say(type="cancel", id="c1")
            assert (await line.until("ack"))["id"] == "c1"
            assert (await talk.messages(session_id))[0]["role"] == "user"
            for frame, status in (
                ({"type": "message", "id": "k1", "content": "other"}, 422),
                ({"type": "message", "id": "k2"}, 400),
                ({"type": "message", "id": "k3", "content": 5}, 400),
                ({"type": "dance", "id": "k4"}, 400),
                ({"id": "k5"}, 400),
            ):
                await line.say(**frame)
                error = await line.until("error")
                assert (error["statusCode"], error["id"]) == (status, frame["id"])
            for raw in ("{", "[]", '"x"'):
                await line.send(TextMessage(data=raw))
                assert (await line.until("error"))["statusCode"] == 400
            await line.send(BytesMessage(data=b"\x00"))
            assert (await line.until("error"))["id"] is None


@pytest.mark.parametrize("key", ["", "k" * 129, "k\0"])
async def test_an_id_that_cannot_be_a_key_is_refused_by_the_name_it_has_on_the_wire(
    tmp_path: Path, key: str
) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            await line.say(type="message", id=key, content="hello")
            refused = await line.until("error")
            assert (refused["id"], refused["statusCode"]) == (key, 400)
            assert refused["message"].startswith("id must not")


async def test_who_says_too_much_is_closed(tmp_path: Path) -> None:
    limits = StreamSettings(messages_per_s=2)
    async with conversing(tmp_path, streams=limits) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            for _ in range(20):
                await line.say(type="cancel")
            closed = await line.closed()
        assert (closed.code, closed.reason) == (1008, "too many messages")


async def test_the_end_of_a_session_is_its_last_event_and_a_normal_close(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        async with talk.line(session_id) as line:
            await line.next()
            assert (await talk.client.delete(f"/api/sessions/{session_id}")).status_code == 204
            assert (await line.closed()).code == 1000
        assert line.frames[-1]["type"] == "session.closed"
        assert line.frames[-1]["data"]["closedReason"] == "deleted"


async def test_a_stop_closes_streams_with_a_code_that_asks_to_come_again(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk, trio.open_nursery() as nursery:
        session_id = await talk.open_session()
        begun, ended = trio.Event(), trio.Event()

        async def follow() -> None:
            url = f"/api/sessions/{session_id}/stream"
            async with talk.client.stream("GET", url) as answer:
                async for _ in answer.aiter_lines():
                    begun.set()
            ended.set()

        async with talk.line(session_id) as line:
            await line.next()
            nursery.start_soon(follow)
            await begun.wait()
            talk.drain.begin()
            assert (await line.closed()).code == 1012
        with trio.fail_after(40):
            await ended.wait()
        assert talk.house.hub.statistics().subscribers == 0


async def test_a_reader_that_is_asleep_gets_everything_and_slows_nobody(tmp_path: Path) -> None:
    async with conversing(tmp_path, assistant=FAST) as talk, AsyncExitStack() as stack:
        session_id = await talk.open_session()
        target = f"/api/sessions/{session_id}/stream?after=0"
        sleeper = Line(await _with_small_buffer(talk))
        await sleeper.open(target, port=talk.port)
        others = [
            await stack.enter_async_context(talk.line(session_id, after=0)) for _ in range(20)
        ]
        for _ in range(12):  # more than all buffers between take
            await talk.post(session_id, "x" * 60_000)
            for line in others:
                await line.until("reply.completed")
            assert talk.house.hub.statistics().window_bytes <= StreamLimits().window_bytes
        newest = others[0].events[-1]["seq"]
        while not sleeper.events or sleeper.events[-1]["seq"] < newest:
            await sleeper.next()
        await sleeper.stream.aclose()
    assert [event["seq"] for event in sleeper.events] == list(range(1, newest + 1))
    assert all(line.events == sleeper.events for line in others)


async def _with_small_buffer(talk: Talk) -> trio.SocketStream:
    socket = trio.socket.socket()
    socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
    await socket.connect(("127.0.0.1", talk.port))
    return trio.SocketStream(socket)


async def _subscribe_raw(talk: Talk, session_id: str) -> trio.SocketStream:
    stream = await _with_small_buffer(talk)
    await stream.send_all(
        f"GET /api/sessions/{session_id}/stream?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return stream


async def test_subscribers_that_leave_leave_nothing(tmp_path: Path) -> None:
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        for _ in range(5):
            async with talk.line(session_id, after=0) as line:
                await line.next()
            stream = await _subscribe_raw(talk, session_id)
            await stream.receive_some(10)
            await stream.aclose()
        with trio.fail_after(15):
            while talk.house.hub.statistics().subscribers:
                await trio.sleep(0.01)


async def test_a_reader_that_takes_nothing_for_too_long_is_cut(tmp_path: Path) -> None:
    async with conversing(tmp_path, send_timeout_s=0.3) as talk:
        session_id = await talk.open_session()
        deaf = await _subscribe_raw(talk, session_id)
        async with talk.line(session_id) as line:
            # Whole requests: httpx leaves a generator behind when one is cancelled half-way.
            with trio.fail_after(60):
                while talk.house.hub.statistics().subscribers > 1:
                    await talk.post(session_id, "x" * 60_000)
                    await line.until("reply.completed")
        await deaf.aclose()


async def test_sse_says_that_it_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.sse.HEARTBEAT_S", 0.05)
    async with conversing(tmp_path) as talk:
        session_id = await talk.open_session()
        url = f"/api/sessions/{session_id}/stream"
        text = ""
        with trio.fail_after(40):
            async with await trio.open_tcp_stream("127.0.0.1", talk.port) as stream:
                await stream.send_all(f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                while text.count("\n: still here\n\n") + text.count("\r\n: still here\n\n") < 3:
                    text += (await stream.receive_some()).decode()
                await talk.client.delete(f"/api/sessions/{session_id}")
                while '"session.closed"' not in text:
                    text += (await stream.receive_some()).decode()
