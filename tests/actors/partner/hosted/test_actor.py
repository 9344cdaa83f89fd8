"""Hosted sessions over a store in memory, in virtual time: they end, once, and tell of it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from actors.partner import PartnerError, PartnerSettings
from actors.partner.hosted import (
    FINAL_TYPES,
    Begin,
    Cancel,
    Extend,
    GiveAnswer,
    IllegalTransition,
    OfferHandOver,
    State,
    decode_session,
    digest_of,
    new_token,
)
from actors.partner.hosted.decider import encode_session
from actors.partner.hosted.events import decode_event
from engine.clock import SeededClock
from engine.store import MemoryDisk
from tests.actors.partner.hosted.sessions import USER, World, world

SHORT = PartnerSettings(session_ttl_s=60)
AGREE = GiveAnswer(browser="a", step="consent", answer={"choice": "agree"})


async def test_a_session_goes_its_way_and_tells_webhooks_and_tenant_once(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        session_id = await it.open_session(metadata={"user_id": "user-123"})
        await it.desk.ask(session_id, Begin(browser="a"))
        await it.desk.ask(session_id, AGREE)
        await trio.testing.wait_all_tasks_blocked()
        session = await it.get(session_id)
        assert (session.state, session.result) == (State.COMPLETED, {"agreed": True})
        assert [event.type for event in await it.log(session_id)] == [
            "session.created",
            "session.updated",
            "session.updated",
            "session.completed",
        ]
        await trio.sleep(120)
        [note] = it.notes
        assert (note.type, note.subject, note.seq) == ("session.completed", session_id, 4)
        assert note.data == encode_session(session)
        assert it.tenants.ended == [session_id]
        assert set(it.changes) == {"t1"}


async def test_time_goes_on_for_a_session_that_nobody_opens_and_that_is_not_in_memory(
    autojump_clock: MockClock,
) -> None:
    async with world(settings=SHORT) as it:
        session_id = await it.open_session()
        await trio.sleep(59)
        assert (await it.get(session_id)).state is State.PENDING
        await trio.sleep(3)
        assert (await it.get(session_id)).state is State.EXPIRED
        assert [note.type for note in it.notes] == ["session.expired"]
        assert (await it.store.load(f"hosted/{session_id}")).row.due_at_ms is None  # type: ignore[union-attr]


async def test_time_goes_on_while_the_server_is_away(
    autojump_clock: MockClock,
) -> None:
    disk = MemoryDisk()
    async with world(disk=disk, settings=SHORT) as it:
        session_id = await it.open_session()
        await it.desk.ask(session_id, Begin(browser="a"))
        await trio.sleep(30)
    await trio.sleep(3600)
    async with world(disk=disk, settings=SHORT) as it:
        await trio.sleep(2)
        assert (await it.get(session_id)).state is State.EXPIRED
        assert len(it.notes) == 1


async def test_in_memory_it_expires_at_its_very_moment(
    autojump_clock: MockClock,
) -> None:
    async with world(settings=SHORT) as it:
        session_id = await it.open_session()
        await it.desk.ask(session_id, Begin(browser="a"))
        await trio.sleep(60.02)
        ended = decode_event(it.published[f"hosted/{session_id}"][-1].body).data
        assert ended.state is State.EXPIRED
        assert ended.ended_at is not None
        assert ended.expires_at <= ended.ended_at <= ended.expires_at[:-4] + "020Z"


async def test_an_extension_moves_the_timer_and_the_catalogues_time(
    autojump_clock: MockClock,
) -> None:
    async with world(settings=SHORT) as it:
        session_id = await it.open_session()
        await it.desk.ask(session_id, Begin(browser="a"))
        await trio.sleep(40)
        until = (await it.get(session_id)).expires_at
        await it.desk.ask(session_id, Extend(browser="a", by_s=60, until=until))
        await trio.sleep(40)
        assert (await it.get(session_id)).state is State.IN_PROGRESS
        await trio.sleep(39)
        assert (await it.get(session_id)).state is State.IN_PROGRESS
        await trio.sleep(1.1)
        assert (await it.get(session_id)).state is State.EXPIRED


async def test_never_behind_its_own_time_also_when_it_is_read_in_the_moment_it_is_up(
    autojump_clock: MockClock,
) -> None:
    async with world(settings=SHORT) as it:
        session_id = await it.open_session()
        await trio.sleep(60)
        assert (await it.get(session_id)).state is State.EXPIRED
        assert it.published[f"hosted/{session_id}"][-1].type == "session.expired"


async def test_what_is_being_processed_when_a_crash_comes_is_concluded_by_the_next_start(
    autojump_clock: MockClock,
) -> None:
    disk = MemoryDisk()
    async with world(disk=disk) as it:
        session_id = await it.open_session()
        state = await it.desk.ask(session_id, AGREE)
        # The answer is given out before the result is found; here everything ends in between.
        assert state.session.state is State.PROCESSING
    async with world(disk=disk) as it:
        await trio.sleep(2)
        assert (await it.get(session_id)).state is State.COMPLETED
        assert [note.type for note in it.notes] == ["session.completed"]


async def test_an_end_is_told_until_it_is_taken_also_by_the_next_start(
    autojump_clock: MockClock,
) -> None:
    disk = MemoryDisk()
    async with world(disk=disk) as it:
        session_id = await it.open_session()
        it.failing += [RuntimeError("no")] * 100
        await it.desk.ask(session_id, Cancel(by="partner"))
        await trio.sleep(1)
        assert (it.notes, it.tenants.ended) == ([], [])
    async with world(disk=disk) as it:
        it.failing.append(RuntimeError("no"))
        await trio.sleep(100)
        assert [note.subject for note in it.notes] == [session_id]
        assert it.tenants.ended == [session_id]
        row = (await it.store.load(f"hosted/{session_id}")).row
        assert row is not None
        assert row.due_at_ms is None
        assert decode_session(row.summary).state is State.CANCELLED


async def test_a_link_to_another_device_finds_the_session_from_its_commit_on(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        created = await it.create()
        session_id = created["session_id"]
        assert await it.desk.find(created["session_url"].rpartition("/")[2]) == session_id
        token = new_token(SeededClock(99))
        assert await it.desk.find(token) is None
        offer = OfferHandOver(browser="a", digest=digest_of(token), life_s=60)
        await it.desk.ask(session_id, offer)
        assert await it.desk.find(token) == session_id
        for guess in ("", session_id, token[:-1], token + "A", "../" + token, "\0" * 32):
            assert await it.desk.find(guess) is None


async def test_one_end_for_each_session_when_complete_expire_and_cancel_come_at_once(
    autojump_clock: MockClock,
) -> None:
    async with world(settings=SHORT) as it:
        ids = [await it.open_session() for _ in range(1_000)]
        for session_id in ids:
            await it.desk.ask(session_id, Begin(browser="a"))
        async with trio.open_nursery() as nursery:
            for number, session_id in enumerate(ids):
                session = await it.get(session_id)
                left = _left_s(it, session.expires_at)
                # Around the very moment of expiry, to the millisecond and to either side of it.
                for command, shift in (
                    (AGREE, (number % 3 - 1) / 1000),
                    (Cancel(by="partner"), (number // 3 % 3 - 1) / 1000),
                ):
                    nursery.start_soon(_at, it, left + shift, session_id, command)
        await trio.sleep(60)
        seen: Counter[str] = Counter()
        told = Counter(note.subject for note in it.notes)
        for session_id in ids:
            log = await it.log(session_id)
            assert [event.type in FINAL_TYPES for event in log].count(True) == 1
            last = decode_event(log[-1].body)
            assert it.published[f"hosted/{session_id}"] == list(log)
            assert await it.get(session_id) == last.data
            [note] = [note for note in it.notes if note.subject == session_id]
            assert note.type == log[-1].type
            assert note.data == encode_session(last.data)
            assert told[session_id] == 1
            seen[log[-1].type] += 1
        assert set(seen) == {"session.completed", "session.cancelled", "session.expired"}
        assert Counter(it.tenants.ended) == Counter(ids)


def _left_s(it: World, expires_at: str) -> float:
    return (datetime.fromisoformat(expires_at) - it.clock.now()) / timedelta(seconds=1)


async def _at(it: World, delay_s: float, session_id: str, command: GiveAnswer | Cancel) -> None:
    await trio.sleep(delay_s)
    with suppress(PartnerError):  # somebody else was first
        await it.desk.ask(session_id, command)


async def test_a_cancel_that_comes_too_late_is_told_so(
    autojump_clock: MockClock,
) -> None:
    async with world() as it:
        session_id = await it.open_session()
        await it.desk.ask(session_id, AGREE)
        with pytest.raises(IllegalTransition):
            await it.desk.cancel(USER, session_id)
