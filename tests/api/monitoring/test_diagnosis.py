"""What is found to be wrong, and what is not."""

from __future__ import annotations

from msgspec.structs import replace

from api.monitoring.diagnosis import CrashWatch, Facts, diagnose, status_of
from engine.store import open_memory
from tests.api.desk import Desk

NOW = 1000.0


async def facts(**changes: object) -> Facts:
    async with open_memory() as store:
        taken = store.statistics()
    well = Facts(
        now=NOW,
        store=replace(taken, refusing=None),
        browser=await Desk().statistics(),
        loop_delay_s=0.01,
    )
    return replace(well, **changes)


def codes(found: Facts) -> list[str]:
    return [problem.code for problem in diagnose(found)]


async def test_nothing_is_wrong_with_what_is_well() -> None:
    assert diagnose(await facts()) == ()
    assert status_of(()) == "healthy"


async def test_a_store_that_takes_nothing_is_unhealthy() -> None:
    well = await facts()
    assert well.store is not None
    stopped = replace(well, store=replace(well.store, refusing="the storage stalled"))
    assert codes(stopped) == ["store_stopped"]
    assert status_of(diagnose(stopped)) == "unhealthy"
    assert "the storage stalled" in diagnose(stopped)[0].message


async def test_a_store_whose_newest_batch_failed_is_unhealthy_for_a_while() -> None:
    well = await facts()
    assert well.store is not None
    failing = replace(well.store, failing="the disk is full", failed_at=NOW - 1)
    assert codes(replace(well, store=failing)) == ["store_failing"]
    long_ago = replace(failing, failed_at=NOW - 60)
    assert codes(replace(well, store=long_ago)) == []


async def test_a_store_of_which_a_part_is_damaged_is_degraded_and_says_what_was_found() -> None:
    well = await facts()
    assert well.store is not None
    damaged = replace(well, store=replace(well.store, damage="the image is malformed"))
    assert (codes(damaged), status_of(diagnose(damaged))) == (["store_damaged"], "degraded")
    assert "the image is malformed" in diagnose(damaged)[0].message


async def test_a_registry_that_is_silent_is_unhealthy() -> None:
    found = await facts(browser=None)
    assert (codes(found), status_of(diagnose(found))) == (["registry_silent"], "unhealthy")


async def test_a_chromium_that_cannot_be_started_is_degraded_and_its_output_is_not_shown() -> None:
    desk = Desk()
    desk.failing = "chromium said: /home/ann/secret"
    found = await facts(browser=await desk.statistics())
    assert (codes(found), status_of(diagnose(found))) == (["chromium_unavailable"], "degraded")
    assert "/home" not in diagnose(found)[0].message


async def test_sessions_that_crash_are_degraded_and_unhealthy_when_none_lives() -> None:
    desk = Desk()
    found = await facts(browser=await desk.statistics(), crashes=5)
    assert status_of(diagnose(found)) == "unhealthy"
    desk.registry.add("driver-1")
    found = await facts(browser=await desk.statistics(), crashes=5)
    assert (codes(found), status_of(diagnose(found))) == (["sessions_crash"], "degraded")
    assert codes(await facts(crashes=2)) == []


async def test_a_loop_that_is_held_up_is_degraded() -> None:
    found = await facts(loop_delay_s=2.5)
    assert (codes(found), status_of(diagnose(found))) == (["loop_delayed"], "degraded")


async def test_the_worst_comes_first() -> None:
    found = await facts(loop_delay_s=2.5, browser=None)
    assert codes(found) == ["registry_silent", "loop_delayed"]


def test_crashes_count_for_five_minutes() -> None:
    watch = CrashWatch()
    assert watch.lately(0, 0.0) == 0
    assert watch.lately(2, 10.0) == 2
    assert watch.lately(5, 100.0) == 5
    assert watch.lately(5, 309.0) == 5
    assert watch.lately(5, 310.0) == 3  # the first two are five minutes old
    assert watch.lately(5, 400.0) == 0
    assert watch.lately(6, 9000.0) == 1
