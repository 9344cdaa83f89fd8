"""The reading page at `/docs` in real Chromium: what axe says of it, in the dark, at 320 px."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.harness import server
from tests.e2e.browsing import browsing

# All routes are laid out alike, and axe takes many seconds over all of them at once.
KEEP_TWO_OF_EACH = """() => {
  document.querySelectorAll("article:nth-of-type(n + 3)").forEach(it => it.remove());
  document.querySelectorAll("details").forEach(it => { it.open = true; });
}"""


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (320, False)])
async def test_the_page_can_be_read_by_everybody(tmp_path: Path, width: int, dark: bool) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        async with browsing(running.urls[0]) as tab:
            await tab.look_like(width, 900, dark=dark)
            await tab.watch_for_violations("/docs")
            assert await tab.page.evaluate("() => window.violations") == []
            assert not await tab.scrolls_sideways()
            await tab.page.evaluate(KEEP_TWO_OF_EACH)
            assert await tab.findings() == []
