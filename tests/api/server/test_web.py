from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
import trio
import trio.testing

from actors.browser.messages import GetSession, ListSessions
from api.errors import ServerStopping
from api.server.drain import Drain
from tests.api.desk import Desk
from tests.api.harness import CREDENTIALS, Opened, opened


def never_ending(desk: Desk) -> trio.Event:
    """Make logins last for ever; the event is set once one runs."""
    begun = trio.Event()

    async def wait(_: Any) -> None:
        begun.set()
        await trio.sleep_forever()

    desk.registry.behave[GetSession] = wait
    return begun


async def test_what_runs_when_the_drain_begins_may_finish() -> None:
    async with opened(drain_s=60) as door, trio.open_nursery() as nursery:
        begun, release = trio.Event(), trio.Event()
        answer_one = door.desk.registry._answer

        async def wait(message: Any) -> Any:
            begun.set()
            await release.wait()
            return await answer_one(message)

        door.desk.registry.behave[GetSession] = wait
        answers = []

        async def call() -> None:
            answers.append(await door.client.post("/get_session", json=CREDENTIALS))

        nursery.start_soon(call)
        await begun.wait()
        door.drain.begin()
        release.set()
    assert answers[0].status_code == 200


async def test_what_still_runs_at_the_deadline_gets_an_error_and_its_ask_is_withdrawn() -> None:
    async with opened(drain_s=0.05) as door, trio.open_nursery() as nursery:
        begun = never_ending(door.desk)
        answers = []

        async def call() -> None:
            answers.append(await door.client.post("/get_session", json=CREDENTIALS))

        nursery.start_soon(call)
        await begun.wait()
        door.drain.begin()
    assert answers[0].status_code == 503
    assert answers[0].json()["error"] == "Server is stopping"
    assert answers[0].headers["retry-after"]
    assert len(door.desk.registry.withdrawn) == 1


async def test_whoever_comes_while_the_drain_lasts_is_told_to_come_again() -> None:
    release = trio.Event()
    async with opened(drain_s=60, until_idle=release.wait) as door:
        door.drain.begin()
        refused = await door.client.post("/get_session", json=CREDENTIALS)
        ready = await door.client.get("/ready")
        health = await door.client.get("/health")
        listed = await door.client.get("/sessions")
        release.set()
    assert refused.status_code == ready.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert int(ready.headers["retry-after"]) > 0
    assert {type(asked) for asked in door.desk.registry.asked} == {ListSessions}
    assert (health.status_code, health.json()["draining"]) == (200, True)
    assert listed.status_code == 200
    with pytest.raises(OSError, match="connect"):
        await door.connect()


async def test_whoever_comes_while_the_drain_lasts_cannot_hold_it_up() -> None:
    async with opened(drain_s=3600) as door, trio.open_nursery() as nursery:
        begun = never_ending(door.desk)

        async def call() -> None:
            with trio.move_on_after(3600):
                await door.client.post("/get_session", json=CREDENTIALS)

        nursery.start_soon(call)
        await begun.wait()
        door.drain.begin()
        late = await door.connect()
        await late.send_all(b"GET ")
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()  # the one who was there leaves; the late one stays
    await late.aclose()


async def read_all(stream: trio.SocketStream) -> int:
    """Return how much comes until the other side ends; raises when it ends by a reset."""
    with trio.fail_after(5):
        return sum([len(part) async for part in stream])


async def flood(door: Opened) -> trio.SocketStream:
    """Ask for far more than the socket's buffers take, and read none of it."""
    door.desk.bundles["flood"] = b"x" * 64 * 1024 * 1024
    stream = await door.connect()
    await stream.send_all(b"GET /debug_bundles/flood.zip HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked(0.2)
    return stream


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end() -> None:
    with trio.fail_after(10):
        async with opened(drain_s=0.05) as door:
            stream = await flood(door)
        assert door.web.connections == 0
        await stream.aclose()


async def test_a_client_that_reads_nothing_is_cut_after_a_while() -> None:
    async with opened(send_timeout_s=0.05) as door, await flood(door) as stream:
        with trio.fail_after(5):
            while door.web.connections:
                await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(trio.BrokenResourceError):
            await read_all(stream)


async def test_a_client_that_reads_slowly_is_not_cut() -> None:
    async with opened(send_timeout_s=5) as door:
        assert door.app.config["RESPONSE_TIMEOUT"] is None  # Quart's own would be 60 s
        door.desk.bundles["long"] = b"x" * 16 * 1024 * 1024
        stream = await door.connect()
        await stream.send_all(
            b"GET /debug_bundles/long.zip HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        async with stream:
            await trio.testing.wait_all_tasks_blocked(0.2)  # its buffers are full by now
            assert await read_all(stream) > 16 * 1024 * 1024


async def test_a_kept_connection_that_its_client_closes_is_over_at_once() -> None:
    async with opened() as door:
        for request in (b"", b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            async with await door.connect() as stream:
                await stream.send_all(request)
                await trio.testing.wait_all_tasks_blocked(0.1)
                assert door.web.connections == 1
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert door.web.connections == 0


async def test_no_more_connections_are_taken_than_there_is_room_for() -> None:
    async with opened(max_connections=2) as door:
        held = [await door.connect() for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with await door.connect() as third:
            with pytest.raises(trio.BrokenResourceError):
                await read_all(third)
        await held.pop().aclose()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (await door.client.get("/ready")).status_code == 200
        await held.pop().aclose()


async def test_clients_that_reset_their_connection_are_nothing_to_log_as_a_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    head = b"POST /get_session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
    async with opened() as door:
        for sent in (b"", b"GET /rea", head, head + b"{", b"GET /ready HTTP/1.1\r\n\r\n"):
            stream = await door.connect()
            await stream.send_all(sent)
            await trio.testing.wait_all_tasks_blocked(0.05)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.aclose()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert door.web.connections == 0
        (await flood(door)).socket.close()
    assert "connection_failed" not in capsys.readouterr().err


async def test_a_fault_in_one_connection_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with opened() as door:
        good = door.web._speak_http

        async def fail(_: Any) -> None:
            raise RuntimeError("a fault of the protocol code")

        monkeypatch.setattr(door.web, "_speak_http", fail)
        async with await door.connect() as stream:
            await trio.testing.wait_all_tasks_blocked(0.05)
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        monkeypatch.setattr(door.web, "_speak_http", good)
        assert (await door.client.get("/ready")).status_code == 200


async def test_cancelling_the_server_ends_even_a_send_that_is_stuck() -> None:
    with trio.fail_after(10):
        async with opened(drain_s=60) as door:
            stream = await flood(door)
            door.everything.cancel()
        assert door.web.connections == 0
        await stream.aclose()


async def test_a_drain_cuts_off_what_comes_after_the_cut_as_well() -> None:
    drain = Drain()
    drain.cut()
    with pytest.raises(ServerStopping):
        await drain.run(trio.sleep_forever)
    assert drain.phase == "draining"


async def test_a_drain_lets_work_end_and_its_errors_through() -> None:
    async def work() -> int:
        return 5

    async def fail() -> int:
        raise KeyError("x")

    drain = Drain()
    assert await drain.run(work) == 5
    with pytest.raises(KeyError):
        await drain.run(fail)


async def test_a_drain_never_goes_back() -> None:
    drain = Drain()
    assert drain.phase == "starting"
    drain.serve()
    assert drain.phase == "serving"
    drain.begin()
    drain.serve()
    assert drain.phase == "draining"
