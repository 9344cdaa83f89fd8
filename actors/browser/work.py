"""The work that a session does on its page: log in, operate, refresh, recover.

Each is a job of the session's actor, run one at a time, with a deadline, and cancellable at any
await. What it learns it keeps here; what it returns or raises is the session's to judge.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
import trio

from actors.browser.bundles import DebugBundles
from actors.browser.chromium_actor import OpenContexts
from actors.browser.errors import (
    BrowserCrashed,
    BrowserSessionError,
    LoginLost,
    LoginTimedOut,
    OperationFailed,
    OperationTimedOut,
    PortalUnreachable,
)
from actors.browser.page import BrowserGone, BrowserState, Context, PageError
from actors.browser.pool import RegainContext, ReturnContext, TakeContext
from actors.browser.portals.portal import CaptchaSolver, Credentials, Operation, Portal
from actors.browser.settings import BrowserSettings
from engine import ActorRef

_LOG: Final = structlog.get_logger("mooring.browser")
_TAKE_TIMEOUT_S: Final = 60.0
_REGAIN_TIMEOUT_S: Final = 15.0
_SAVE_TIMEOUT_S: Final = 5.0
_GONE_TRIES: Final = 3


class Equipment(msgspec.Struct, frozen=True, kw_only=True):
    """What every session of the family works with."""

    settings: BrowserSettings
    portal: Portal
    operations: dict[str, Operation]
    captcha: Callable[[str], CaptchaSolver]
    pool: ActorRef
    contexts: OpenContexts
    bundles: DebugBundles


class PageWork:
    """One session's page, and what is done with it.

    Args:
        equipment: what all sessions share.
        credentials: whose login this is.
        owner: the session, which hears when its context is lost.
    """

    def __init__(self, equipment: Equipment, credentials: Credentials, owner: ActorRef) -> None:
        self._equipment = equipment
        self._credentials = credentials
        self._captcha = equipment.captcha(credentials.captcha_api_key)
        self._owner = owner
        self._saved: BrowserState | None = None
        self.context_id: str | None = None

    @property
    def current_url(self) -> str:
        """What the page shows, or showed last."""
        context = self._equipment.contexts.get(self.context_id or "")
        if context is not None:
            return context.page.url
        return self._saved.url if self._saved is not None else ""

    def give_back(self) -> None:
        """Return the context to the pool; good at any time, also twice."""
        if self.context_id is not None:
            self._equipment.pool.signal(ReturnContext(context_id=self.context_id))
            self.context_id = None

    # -- the jobs ------------------------------------------------------------------------------

    async def log_in(self) -> None:
        """Get a context and log in.

        Raises:
            BrowserSessionError: what the caller is told.
        """
        try:
            with trio.fail_after(self._equipment.settings.login_timeout_s):
                await self._through_crashes(self._log_in_anew)
        except trio.TooSlowError:
            raise LoginTimedOut from None

    async def operate(self, name: str, request: Any) -> msgspec.Struct:
        """Run one operation, logging in again when the portal has forgotten the login.

        Raises:
            BrowserSessionError: what the caller is told; `BrowserCrashed` when the page is lost.
        """
        run = self._equipment.operations[name].run
        try:
            with trio.fail_after(self._equipment.settings.operation_timeout_s):
                try:
                    answer = await run(self._context().page, request)
                except LoginLost:
                    await self._portal_login(self._context())
                    answer = await run(self._context().page, request)
        except trio.TooSlowError:
            raise OperationTimedOut from None
        except BrowserGone as error:
            raise BrowserCrashed("the session is being recovered; try again") from error
        except PageError as error:
            raise OperationFailed(str(error)) from error
        await self._save()
        return answer

    async def refresh(self) -> None:
        """Open the portal's page, check the login, and log in again when it is lost.

        Raises:
            BrowserSessionError: why there is no login any more, or `PortalUnreachable`.
            BrowserGone: the page is lost.
        """
        try:
            with trio.fail_after(self._equipment.settings.login_timeout_s):
                await self._ensure_login(self._context())
        except trio.TooSlowError:
            raise LoginTimedOut from None
        await self._save()

    async def recover(self) -> None:
        """Get the page back: the same one if it lives, else its state in another Chromium.

        Raises:
            BrowserSessionError: why it cannot be done.
        """
        try:
            with trio.fail_after(self._equipment.settings.login_timeout_s + _TAKE_TIMEOUT_S):
                await self._through_crashes(self._reopen)
        except trio.TooSlowError:
            raise LoginTimedOut from None
        await self._save()

    async def bundle(self, outcome: str) -> str | None:
        """Keep a screenshot, the HTML and the page's journal; returns the bundle's name."""
        try:
            with trio.fail_after(_SAVE_TIMEOUT_S):
                page = self._context().page
                png, html = await page.screenshot(), await page.html()
                log = "\n".join((*page.journal, outcome))
                return await self._equipment.bundles.write(png=png, html=html, log=log)
        except (PageError, OSError, trio.TooSlowError) as error:
            _LOG.warning("no debug bundle", actor=self._owner.address, cause=str(error))
            return None

    # -- steps ---------------------------------------------------------------------------------

    def _context(self) -> Context:
        context = self._equipment.contexts.get(self.context_id or "")
        if context is None:
            raise BrowserGone("the session's page is gone")
        return context

    async def _take(self) -> Context:
        self.give_back()
        take = TakeContext(owner=self._owner)
        self.context_id = await self._equipment.pool.ask(take, timeout_s=_TAKE_TIMEOUT_S)
        return self._context()

    async def _through_crashes(self, work: Callable[[], Any]) -> None:
        """Begin again when Chromium goes away under the work, a few times."""
        for attempt in range(1, _GONE_TRIES + 1):
            try:
                await work()
            except BrowserGone as error:
                if attempt == _GONE_TRIES:
                    raise BrowserCrashed(f"{_GONE_TRIES} times in a row") from error
            except PageError as error:
                raise PortalUnreachable(str(error)) from error
            else:
                return

    async def _log_in_anew(self) -> None:
        context = await self._take()
        await self._portal_login(context)
        await self._save()

    async def _portal_login(self, context: Context) -> None:
        await self._equipment.portal.login(context.page, self._credentials, self._captcha)

    async def _reopen(self) -> None:
        context = await self._regain()
        if context is None:
            context = await self._take()
            if self._saved is not None:
                await context.restore(self._saved)
        try:
            await self._ensure_login(context)
        except BrowserGone:
            self.give_back()
            raise

    async def _regain(self) -> Context | None:
        """A dropped socket is reattached: then the context is there, with its page."""
        if self.context_id is None:
            return None
        regain = RegainContext(context_id=self.context_id)
        there = await self._equipment.pool.ask(regain, timeout_s=_REGAIN_TIMEOUT_S)
        return self._equipment.contexts.get(self.context_id) if there else None

    async def _ensure_login(self, context: Context) -> None:
        portal = self._equipment.portal
        await portal.refresh(context.page)
        if not await portal.is_logged_in(context.page):
            await self._portal_login(context)

    async def _save(self) -> None:
        """Keep cookies and storage for a relaunch; without them it logs in again."""
        with suppress(PageError, trio.TooSlowError):
            with trio.fail_after(_SAVE_TIMEOUT_S):
                self._saved = await self._context().save()


def told(error: Exception) -> BrowserSessionError:
    """Return what callers are told of an error that ended a step."""
    if isinstance(error, BrowserSessionError):
        return error
    return BrowserCrashed(str(error))
