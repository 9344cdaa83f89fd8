"""What real browser sessions show in `/metrics`."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.api.monitoring.test_metrics import Scrape, scrape
from tests.e2e.running import Mooring, mooring


async def figures(server: Mooring) -> Scrape:
    return await scrape(server.http, server.url)


async def test_logins_operations_evictions_captchas_and_chromium_show(data_dir: Path) -> None:
    async with mooring(data_dir, capacity=1) as server:
        first = await server.open_session(1)
        await server.get_booking(session_id=first)
        refused = await server.get_session(2, password="wrong")
        assert refused.status_code == 401
        await server.open_session(2)  # takes the place of the first
        with trio.fail_after(30):  # memory is measured every few seconds
            while not (found := await figures(server))["mooring_chromium_memory_bytes"]:
                await trio.sleep(0.2)
        assert found['mooring_sessions{kind="browser",state="live"}'] == 1
        assert found['mooring_session_capacity{kind="browser"}'] == 1
        assert found['mooring_sessions_ended_total{kind="browser",reason="evicted"}'] == 1
        assert found['mooring_sessions_refused_total{kind="browser",reason="failed"}'] == 1
        assert found['mooring_login_seconds_count{outcome="succeeded"}'] == 2
        assert found['mooring_login_seconds_count{outcome="failed"}'] == 1
        booked = 'mooring_operation_seconds_count{operation="get_booking_number",'
        assert found[booked + 'outcome="succeeded"}'] == 1
        assert found['mooring_captchas_total{outcome="solved"}'] >= 2
        solved = found['mooring_captchas_total{outcome="solved"}']
        assert abs(found["mooring_captcha_cost_total"] - 0.00299 * solved) < 1e-9
        assert found["mooring_chromium_processes"] >= 3
        assert found["mooring_chromium_memory_bytes"] > 50e6
        assert found['mooring_actors{supervisor="browser sessions"}'] == 1
        assert await server.stop() == 0
