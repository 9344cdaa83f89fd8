"""What every test with a real Chromium starts from."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager

import pytest
import trio
import trio_asyncio

from actors.browser.chromium import Chromium, ChromiumOptions, find_executable, launch
from actors.browser.driver import connect
from actors.browser.driver.browser import ChromiumBrowser
from tests.actors.browser.site import Site, serving

# Several runs of the tests may share the machine, and a sweep ends all that have its run id.
RUN_ID = f"{os.getpid():08x}0000"


@pytest.fixture(scope="session")
def executable() -> str:
    """The Chromium that is installed. Without one these tests fail; they are never skipped."""
    return trio.run(find_executable, os.environ.get("MOORING_BROWSER__EXECUTABLE"))


@pytest.fixture(scope="session")
def options(executable: str) -> ChromiumOptions:
    return ChromiumOptions(executable=executable, run_id=RUN_ID)


@pytest.fixture(scope="session")
def shared_chromium(options: ChromiumOptions) -> Iterator[Chromium]:
    """One Chromium for all tests that do it no harm: it runs in a thread, outside their runs."""
    started: Future[tuple[Chromium, Callable[[], None]]] = Future()

    async def run() -> None:
        over = trio.Event()
        token = trio.lowlevel.current_trio_token()
        async with launch(options) as chromium:
            started.set_result((chromium, lambda: token.run_sync_soon(over.set)))
            await over.wait()

    def run_in_thread() -> None:
        try:
            trio.run(run)
        except BaseException as error:
            started.set_exception(error)

    thread = threading.Thread(target=run_in_thread)
    thread.start()
    chromium, stop = started.result()
    yield chromium
    stop()
    thread.join()


@pytest.fixture
async def asyncio_loop() -> AsyncIterator[trio_asyncio.TrioEventLoop]:
    async with trio_asyncio.open_loop() as loop:
        yield loop


@pytest.fixture
async def browser(
    asyncio_loop: trio_asyncio.TrioEventLoop, shared_chromium: Chromium
) -> AsyncIterator[ChromiumBrowser]:
    """A connection to the shared Chromium; contexts that a test leaves open are closed after it."""
    async with connect(shared_chromium.endpoint) as connected:
        yield connected
        for context_id in await connected.context_ids():
            await connected.close_context(context_id)


@pytest.fixture
async def chromium(
    asyncio_loop: trio_asyncio.TrioEventLoop, options: ChromiumOptions
) -> AsyncIterator[Chromium]:
    """A Chromium of the test's own, to be killed or frozen."""
    async with launch(options) as own:
        yield own


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as served:
        yield served


@pytest.fixture
def another_site() -> AbstractAsyncContextManager[Site]:
    return serving()
