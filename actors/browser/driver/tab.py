"""One tab of Chromium: made or taken over, watched, navigated, and asked to run scripts.

Laws of this file: only the Page domain stays enabled. Scripts need no `Runtime` domain, whose
events a page can notice; `Network` is on only while an address is being opened, for its status.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import trio

from actors.browser.driver import scripts
from actors.browser.driver.dialogs import Dialogs
from actors.browser.driver.journal import Journal
from actors.browser.driver.line import CALL_TIMEOUT_S, CommandRefused, Line
from actors.browser.driver.outcome import Interrupted, as_script_failed, value_of
from actors.browser.driver.wire import Wire
from actors.browser.page import BrowserGone

_TAKE_TIMEOUT_S: Final = 2.0
_SETTLE_TIMEOUT_S: Final = 2.0
_RETRY_S: Final = 0.02
# A script that computes longer is stopped, so that the page is usable after it.
_COMPUTE_TIMEOUT_MS: Final = 5000
_SETUP: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("Page.enable", {}),
    # A window behind another one would be told that it is hidden, and get no mouse.
    ("Emulation.setFocusEmulationEnabled", {"enabled": True}),
    (
        "Emulation.setDeviceMetricsOverride",
        {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    ),
)
_BLANK_DOCUMENT: Final[dict[str, Any]] = {
    "responseCode": 200,
    "responseHeaders": [{"name": "Content-Type", "value": "text/html"}],
    "body": "PCFkb2N0eXBlIGh0bWw+",  # <!doctype html>
}


class Tab:
    """The tab that a context's page is shown in.

    Args:
        on_attach: called when `target_id` has become known.
        on_discard: called with the target of a tab that is about to be replaced.
    """

    def __init__(
        self,
        wire: Wire,
        context_id: str,
        journal: Journal,
        *,
        on_attach: Callable[[], None],
        on_discard: Callable[[str], None],
    ) -> None:
        self._on_attach = on_attach
        self._on_discard = on_discard
        self._wire = wire
        self._context_id = context_id
        self._journal = journal
        self._line: Line | None = None
        self._status = ("", 0)  # of the newest document, with its loader
        self._given_up: asyncio.Future[Any] | None = None  # a navigation that may still end
        self.target_id: str | None = None
        self.url = "about:blank"
        self.dialogs = Dialogs(journal)

    async def open(self) -> None:
        """Make a tab, in place of the one before."""
        where = {"url": "about:blank", "browserContextId": self._context_id}
        made = await self._wire.browser.call("Target.createTarget", where)
        self.url = "about:blank"
        try:
            await self._attach(made["targetId"])
        except BaseException:
            self._close(made["targetId"])
            raise

    async def take(self, target_id: str, url: str) -> None:
        """Take over the tab of an earlier connection.

        One that is stuck, on a dialog that opened while nobody was connected, say, is loaded again;
        now and then its renderer crashes at that, so it is loaded once more. If that does not help
        either, it is replaced by a new one.
        """
        self.url = url
        for reload in (False, True, True):
            with trio.move_on_after(_TAKE_TIMEOUT_S):
                await self._attach(target_id, reload=reload)
                return
            self._journal.note("the tab did not answer")
        self._journal.note("the tab was replaced")
        self._close(target_id)
        await self.open()

    async def _attach(self, target_id: str, *, reload: bool = False) -> None:
        self.target_id = target_id
        self._on_attach()
        line = await self._wire.attach(target_id)
        self.dialogs.watch(line, target_id)
        line.on("Page.frameNavigated", self._navigated)
        line.on("Page.navigatedWithinDocument", self._navigated_within)
        line.on("Network.responseReceived", self._responded)
        line.on("Fetch.requestPaused", partial(self._requested, line))
        if reload:
            with suppress(CommandRefused):  # the one before is still under way
                await line.call("Page.reload")
        await line.call_all(*_SETUP)
        # Only now: a tab whose set-up was cancelled would hang at its first dialog.
        self._line = line

    def _close(self, target_id: str) -> None:
        self.lost("the tab is being replaced")
        self._on_discard(target_id)
        with suppress(BrowserGone):
            self._wire.browser.post("Target.closeTarget", {"targetId": target_id})

    def lost(self, why: str) -> None:
        """Chromium has closed the tab."""
        if self._line is not None:
            self._wire.detach(self._line, why)
        self._line = self.target_id = self._given_up = None

    def crashed(self) -> None:
        """The tab's renderer has ended; it takes no commands until the next `navigate`."""
        self._journal.note("the page crashed")
        self._given_up = None
        if self._line is not None:
            self._line.cut("the page crashed")

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Any:
        """Send a command and return its answer; raises as `Line.call` does."""
        await self._settle()
        return await self.line.call(method, params, timeout_s=timeout_s)

    async def _settle(self) -> None:
        # A navigation that was stopped may be putting its document in place all the same; what is
        # asked in between would be refused, or asked of a document that is about to go.
        if self._given_up is not None:
            await self.line.answered(self._given_up, _SETTLE_TIMEOUT_S)
            self._given_up = None

    @property
    def line(self) -> Line:
        """Where the tab's commands go.

        Raises:
            BrowserGone: the tab has closed.
        """
        if self._line is None:
            raise BrowserGone("the tab has closed")
        return self._line

    @property
    def frame_id(self) -> str:
        """The main frame, which has its tab's id.

        Raises:
            BrowserGone: the tab has closed.
        """
        if self.target_id is None:
            raise BrowserGone("the tab has closed")
        return self.target_id

    def post(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a command that nobody waits for; it does not matter whether there is a tab."""
        with suppress(BrowserGone):
            self.line.post(method, params)

    async def navigate(self, url: str) -> int:
        """Open `url` and return its status, 0 if it has none; waits for as long as it takes.

        A tab that has closed is opened again, a crashed one gets a new renderer. When this is
        cancelled, the loading goes on: call `stop`.

        Raises:
            CommandRefused: it cannot be opened; `cause` is Chromium's name for why.
        """
        if self._line is None:
            await self.open()
        line, crashed = self.line, self.line.is_cut
        if not self._wire.gone.is_set():
            line.mend()
        try:
            return await self._navigate(line, url)
        except BaseException:
            if crashed:
                line.cut("the page crashed")
            raise

    async def _navigate(self, line: Line, url: str) -> int:
        await self._settle()
        line.post("Network.enable", {"maxTotalBufferSize": 1, "maxResourceBufferSize": 1})
        navigating = self._given_up = line.post("Page.navigate", {"url": url})
        try:
            answer = await line.answer(navigating, "Page.navigate", timeout_s=math.inf)
        finally:
            self.post("Network.disable")
        self._given_up = None
        loader, status = self._status
        if loader != answer.get("loaderId", loader):
            status = 0
        if answer.get("errorText") and not status:
            raise CommandRefused("Page.navigate", answer["errorText"])
        await self._wait_ready()
        return status

    async def _wait_ready(self) -> None:
        while True:
            with suppress(Interrupted):
                await self.evaluate(scripts.calling(scripts.READY), timeout_s=math.inf)
                return
            await trio.sleep(_RETRY_S)

    def stop(self) -> None:
        """Stop loading. Without it, whatever comes after a cancelled `navigate` would hang."""
        self.post("Page.stopLoading")

    @asynccontextmanager
    async def blank_documents(self) -> AsyncIterator[None]:
        """Meanwhile every address opens as an empty document, and no server is asked."""
        await self.call("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        try:
            yield
        finally:
            self.post("Fetch.disable")

    async def evaluate(self, expression: str, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Return the JSON value of the expression, or of what it promises.

        Raises:
            Interrupted: the document was left meanwhile.
            ScriptFailed: it threw, or computed for more than 5 s.
        """
        command = {
            "expression": expression,
            "returnByValue": True,
            "awaitPromise": True,
            "timeout": _COMPUTE_TIMEOUT_MS,
        }
        return await self._run("Runtime.evaluate", command, timeout_s)

    async def evaluate_in_frame(self, frame_id: str, function: str, *args: Any) -> Any:
        """Call the function beside a frame's own scripts, where they can have replaced nothing."""
        where = {"frameId": frame_id, "worldName": "mooring"}
        try:
            world = await self.call("Page.createIsolatedWorld", where)
        except CommandRefused as error:
            raise Interrupted(error.cause) from error
        command = {
            "functionDeclaration": function,
            "executionContextId": world["executionContextId"],
            "arguments": [{"value": each} for each in args],
            "returnByValue": True,
            "awaitPromise": True,
        }
        return await self._run("Runtime.callFunctionOn", command, CALL_TIMEOUT_S)

    async def _run(self, method: str, command: dict[str, Any], timeout_s: float) -> Any:
        try:
            answer = await self.call(method, command, timeout_s=timeout_s)
        except CommandRefused as error:
            raise as_script_failed(error) from error
        return value_of(answer)

    def _navigated(self, params: dict[str, Any]) -> None:
        frame = params["frame"]
        if "parentId" not in frame:
            shown: str = frame["url"] + frame.get("urlFragment", "")
            self.url = frame.get("unreachableUrl", shown)

    def _navigated_within(self, params: dict[str, Any]) -> None:
        if params["frameId"] == self.target_id:
            self.url = params["url"]

    def _responded(self, params: dict[str, Any]) -> None:
        if params["type"] == "Document" and params.get("frameId") == self.target_id:
            self._status = (params["loaderId"], params["response"]["status"])

    def _requested(self, line: Line, params: dict[str, Any]) -> None:
        request = {"requestId": params["requestId"]}
        if params["resourceType"] == "Document":
            line.post("Fetch.fulfillRequest", request | _BLANK_DOCUMENT)
        else:
            line.post("Fetch.failRequest", request | {"errorReason": "BlockedByClient"})
