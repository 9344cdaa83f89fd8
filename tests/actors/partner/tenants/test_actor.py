"""The tenant as an actor, with the store in memory and in virtual time."""

from __future__ import annotations

import pytest
import trio

from actors.partner import (
    CredentialsRefused,
    NotFound,
    PartnerSettings,
    QuotaExceeded,
    RateLimited,
    TooManyActive,
)
from actors.partner.tenants import (
    AdmitKey,
    Confirm,
    GiveBack,
    ListKeys,
    Reserve,
    RevokeKey,
    SessionEnded,
)
from actors.partner.tenants.actor import BOOKS_EVERY_S, IDLE_S, RESERVATION_S
from engine.store import MemoryDisk
from tests.actors.partner.tenants.world import TENANT, at, world

ROOMY = PartnerSettings(monthly_quota=50, max_active=1000, rate_limit_per_minute=1000)


async def test_quotas_and_places_are_exact_when_a_hundred_race(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(ROOMY) as it:
        outcomes: list[bool] = []

        async def create() -> None:
            try:
                await it.create()
            except QuotaExceeded:
                outcomes.append(False)
            else:
                outcomes.append(True)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(create)
        assert (outcomes.count(True), outcomes.count(False)) == (50, 50)
        usage = await it.usage()
        assert (usage.sandbox.used, usage.sandbox.remaining, usage.active) == (50, 0, 50)
        assert usage.production.used == 0


async def test_an_ended_session_frees_its_place_and_none_of_the_quota(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(PartnerSettings(max_active=1)) as it:
        session_id = await it.create()
        with pytest.raises(TooManyActive):
            await it.reserve("production")
        for _ in range(2):
            await it.ask(SessionEnded(session_id=session_id))
        await it.create("production")
        usage = await it.usage()
        assert (usage.sandbox.used, usage.production.used, usage.active) == (1, 1, 1)


async def test_a_place_that_is_given_back_costs_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with world(PartnerSettings(monthly_quota=1)) as it:
        place = await it.reserve()
        with pytest.raises(QuotaExceeded):
            await it.reserve()
        for _ in range(2):
            await it.ask(GiveBack(token=place.token))
        assert await it.create()
        assert (await it.usage()).sandbox.used == 1


async def test_a_place_whose_asker_has_gone_is_free_again_when_no_session_was_made(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(PartnerSettings(monthly_quota=1)) as it:
        await it.reserve()
        await trio.sleep(2 * RESERVATION_S + 1)
        assert (await it.usage()).sandbox.used == 0
        await it.reserve()


async def test_a_place_whose_asker_has_gone_stays_taken_when_its_session_exists(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(PartnerSettings(monthly_quota=1)) as it:
        session_id = await it.create(confirm=False)
        await trio.sleep(2 * RESERVATION_S + 1)
        usage = await it.usage()
        assert (usage.sandbox.used, usage.active) == (1, 1)
        await it.ask(SessionEnded(session_id=session_id))
        assert (await it.usage()).active == 0


async def test_a_session_that_ended_before_it_was_confirmed_is_not_active(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world() as it:
        place = await it.reserve()
        await it.write("s1", place.created_at, status="expired")
        await it.ask(SessionEnded(session_id="s1"))
        await it.ask(Confirm(token=place.token, session_id="s1"))
        usage = await it.usage()
        assert (usage.sandbox.used, usage.active) == (1, 0)


async def test_the_count_is_what_exists_after_the_server_was_killed(
    autojump_clock: trio.abc.Clock,
) -> None:
    disk = MemoryDisk()
    async with world(ROOMY, disk=disk) as it:
        ended = await it.create()
        await it.create("production")
        place = await it.reserve()
        await it.write(ended, place.created_at, status="completed")
        await it.create(confirm=False)
        await it.reserve()  # and nothing is made
    async with world(ROOMY, disk=disk, create=False) as it:
        usage = await it.usage()
        assert (usage.sandbox.used, usage.production.used, usage.active) == (2, 1, 2)


async def test_a_refusal_costs_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with world(PartnerSettings(monthly_quota=1, max_active=2)) as it:
        await it.create()
        await it.create("production")
        before = await it.usage()
        for environment in ("sandbox", "production"):
            with pytest.raises((QuotaExceeded, TooManyActive)):
                await it.reserve(environment)
        assert await it.usage() == before


async def test_places_are_settled_once_and_one_from_an_earlier_life_is_looked_up(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world() as it:
        await it.usage()
        await it.write("late", it.clock.now())
        await it.ask(Confirm(token=999, session_id="late"))
        await trio.sleep(1)
        place = await it.reserve()
        for _ in range(3):
            await it.ask(GiveBack(token=place.token))
        usage = await it.usage()
        assert (usage.sandbox.used, usage.active) == (1, 1)


async def test_books_outlive_sessions_that_are_erased(
    autojump_clock: trio.abc.Clock,
) -> None:
    disk = MemoryDisk()
    async with world(disk=disk) as it:
        session_id = await it.create()
        await it.ask(SessionEnded(session_id=session_id))
        await trio.sleep(BOOKS_EVERY_S + 1)
        await it.store.erase(f"hosted/{session_id}", epoch=it.tenants.log.epoch)
    async with world(disk=disk, create=False) as it:
        usage = await it.usage()
        assert usage.sandbox.used == 1
        assert [(day.day, day.sandbox) for day in usage.days] == [("2026-01-01", 1)]


async def test_revoked_is_refused_at_once_and_not_before(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world() as it:
        key = await it.generate_key("d1")
        admitted = await it.ask(AdmitKey(digest="d1"))
        assert (admitted.principal.kind, admitted.principal.environment) == ("key", "sandbox")
        await it.ask(RevokeKey(key_id=key.key_id, by="u1"))
        with pytest.raises(CredentialsRefused):
            await it.ask(AdmitKey(digest="d1"))


async def test_requests_beyond_the_rate_are_refused_and_counted_from_the_first_one(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(PartnerSettings(rate_limit_per_minute=3)) as it:
        await it.generate_key("d1")
        left = [(await it.ask(AdmitKey(digest="d1"))).rate.remaining for _ in range(3)]
        assert left == [2, 1, 0]
        await trio.sleep(20)
        with pytest.raises(RateLimited) as refused:
            await it.ask(AdmitKey(digest="d1"))
        assert refused.value.retry_after_s == 40
        await trio.sleep(40)
        assert (await it.ask(AdmitKey(digest="d1"))).rate.remaining == 2


async def test_requests_are_counted_when_admitted_and_not_when_refused(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(PartnerSettings(rate_limit_per_minute=3)) as it:
        await it.generate_key("d1")
        for _ in range(10):
            with pytest.raises(CredentialsRefused):
                await it.ask(AdmitKey(digest="made up"))
        assert (await it.ask(AdmitKey(digest="d1"))).rate.remaining == 2


async def test_the_last_use_of_a_key_is_shown_at_once_and_written_down_within_a_minute(
    autojump_clock: trio.abc.Clock,
) -> None:
    disk = MemoryDisk()
    async with world(disk=disk) as it:
        await it.generate_key("d1")
        (key,) = await it.ask(ListKeys())
        assert key.last_used_at is None
        seq = await it.store.newest(f"tenant/{TENANT}")
        used_at = at(it.clock)
        await it.ask(AdmitKey(digest="d1"))
        (key,) = await it.ask(ListKeys())
        assert key.last_used_at == used_at
        assert await it.store.newest(f"tenant/{TENANT}") == seq  # no commit for a request
        await trio.sleep(BOOKS_EVERY_S + 1)
    async with world(disk=disk, create=False) as it:
        (key,) = await it.ask(ListKeys())
        assert key.last_used_at == used_at


async def test_of_all_books_that_were_closed_only_the_newest_are_kept(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world() as it:
        for _ in range(5):
            await it.create()
            await trio.sleep(BOOKS_EVERY_S + 1)
        stream = f"tenant/{TENANT}"
        assert [e.type for e in (await it.store.read(stream)).events].count("books.closed") == 5
        await trio.sleep(IDLE_S + 60)
        assert [e.type for e in (await it.store.read(stream)).events].count("books.closed") == 1
        assert (await it.usage()).sandbox.used == 5


async def test_limits_are_told_once_a_month_for_each_environment(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(PartnerSettings(monthly_quota=5, production_quota=1)) as it:
        for _ in range(3):
            await it.create()
        assert it.told == []
        for _ in range(2):
            await it.create()
        await it.create("production")
        for _ in range(3):
            with pytest.raises(QuotaExceeded):
                await it.create()
        await trio.sleep(1)
        assert [(told.type, told.environment, told.used) for told in it.told] == [
            ("quota.warning", "sandbox", 4),
            ("quota.warning", "production", 1),
            ("quota.exceeded", "sandbox", 5),
        ]
        assert {told.month for told in it.told} == {"2026-01"}


async def test_a_limit_that_could_not_be_told_is_told_later_also_by_the_next_server(
    autojump_clock: trio.abc.Clock,
) -> None:
    disk = MemoryDisk()
    async with world(PartnerSettings(monthly_quota=0), disk=disk) as it:
        it.tell_fails = 1_000
        with pytest.raises(QuotaExceeded):
            await it.create()
        await trio.sleep(1)
    async with world(PartnerSettings(monthly_quota=0), disk=disk, create=False) as it:
        it.tell_fails = 2
        await trio.sleep(60)  # nobody asks it anything: it is woken
        assert [told.type for told in it.told] == ["quota.exceeded"]
    async with world(PartnerSettings(monthly_quota=0), disk=disk, create=False) as it:
        with pytest.raises(QuotaExceeded):
            await it.create()
        await trio.sleep(60)
        assert it.told == []


async def test_nothing_can_be_asked_of_a_tenant_that_does_not_exist(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(create=False) as it:
        with pytest.raises(NotFound):
            await it.ask(Reserve(environment="sandbox"))
        with pytest.raises(CredentialsRefused):
            await it.ask(AdmitKey(digest="d1"))
