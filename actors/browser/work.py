"""The work that a session does on its page: log in, operate, refresh, recover, restore, save.

Each is a job of the session's actor, run one at a time, with a deadline, and cancellable at any
await. What it learns it keeps here; what it returns or raises is the session's to judge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
    BrowserUnavailable,
    LoginLost,
    LoginTimedOut,
    OperationFailed,
    OperationTimedOut,
    PortalUnreachable,
)
from actors.browser.journal_messages import Note
from actors.browser.keeper import Keeper
from actors.browser.page import BrowserGone, BrowserState, Context, Page, PageError
from actors.browser.pool_messages import RegainContext, ReturnContext, TakeContext
from actors.browser.portals.portal import CaptchaSolver, Credentials, Operation, Portal
from actors.browser.saved import SavedSession, Vault
from actors.browser.settings import BrowserSettings
from engine import ActorRef, AskError, DeliveryError, DomainError
from engine.meter import Meter

_LOG: Final = structlog.get_logger("mooring.browser")
_TAKE_TIMEOUT_S: Final = 60.0
_REGAIN_TIMEOUT_S: Final = 15.0
_SAVE_TIMEOUT_S: Final = 5.0
_RETURN_TIMEOUT_S: Final = 10.0
_GONE_TRIES: Final = 3
_GONE_PAUSE_S: Final = 0.2


class Equipment(msgspec.Struct, frozen=True, kw_only=True):
    """What every session of the family works with."""

    settings: BrowserSettings
    portal: Portal
    operations: dict[str, Operation]
    captcha: Callable[[str], CaptchaSolver]
    pool: ActorRef
    contexts: OpenContexts
    bundles: DebugBundles
    vault: Vault
    journal: ActorRef | None = None  # takes `Note`s; None where nobody writes them down
    keeper: Keeper | None = None  # None where sessions end with their server
    shared: bool = False  # whether other servers may have sessions in the same store
    meter: Meter = msgspec.field(default_factory=Meter)

    def note(self, session_id: str, event: str, **data: Any) -> None:
        """Put what has happened to a session on its stream; `data` holds no secret."""
        if self.journal is not None:
            self.journal.signal(Note(session_id=session_id, event=event, data=data))


class _NotingSolver:
    """A captcha solver that puts each success on the session's stream."""

    def __init__(self, solver: CaptchaSolver, note: Callable[[], None]) -> None:
        self._solver = solver
        self._note = note

    async def solve(self, *, site_key: str, page_url: str) -> str:
        token = await self._solver.solve(site_key=site_key, page_url=page_url)
        self._note()
        return token


class PageWork:
    """One session's page, and what is done with it.

    Args:
        equipment: what all sessions share.
        credentials: whose login this is; None where they are saved with the session.
        owner: the session, which hears when its context is lost.

    Attributes:
        context_id: the context it has, if any.
        lost: the owner has heard that the connection to that context is gone.
        kept: what is saved of the session survives its server.
        logins: how often it has logged in.
    """

    def __init__(
        self, equipment: Equipment, credentials: Credentials | None, owner: ActorRef
    ) -> None:
        self._equipment = equipment
        self._credentials = credentials
        self._session_id = owner.address.partition("/")[2]
        self._owner = owner
        self._saved: BrowserState | None = None
        self._written: SavedSession | None = None  # what the store has
        self.kept = False
        self.logins = 0
        self.context_id: str | None = None
        self.lost = False

    @property
    def current_url(self) -> str:
        """What the page shows, or showed last."""
        context = self._equipment.contexts.get(self.context_id or "")
        if context is not None:
            return context.page.url
        return self._saved.url if self._saved is not None else ""

    @property
    def intrusions(self) -> int:
        """How many windows and dialogs this context's pages have opened, all got rid of."""
        context = self._equipment.contexts.get(self.context_id or "")
        return 0 if context is None else context.popups_closed + context.dialogs_dismissed

    def give_back(self) -> None:
        """Return the context to the pool; good at any time, also twice."""
        if self.context_id is not None:
            self._equipment.pool.signal(ReturnContext(context_id=self.context_id))
            self.context_id = None
            self.lost = False

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
            BrowserSessionError: what the caller is told; `BrowserCrashed` when the page is lost,
                `AuthenticationFailed` when the portal does not take the credentials any more.
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
        except BrowserGone:
            raise
        except PageError as error:
            raise PortalUnreachable(str(error)) from error
        await self._save()

    async def recover(self) -> None:
        """Get the page back: the same one if it lives, else its state in another Chromium.

        When that fails the page is given up: nobody knows what it shows, or whether it ever answers
        again. What comes next begins with another one.

        Raises:
            BrowserSessionError: why it cannot be done.
        """
        try:
            with trio.fail_after(self._equipment.settings.login_timeout_s + _TAKE_TIMEOUT_S):
                await self._through_crashes(self._reopen)
        except trio.TooSlowError:
            self.give_back()
            raise LoginTimedOut from None
        except BrowserSessionError:
            self.give_back()
            raise
        await self._save()

    async def restore(self) -> None:
        """Get back to where the session was under an earlier server, and check its login.

        It is done without a login where the saved cookies still hold. Credentials that were given
        go before the saved ones: they are the same login, perhaps with another captcha key.

        Raises:
            BrowserSessionError: why it cannot be done.
        """
        keeper = self._equipment.keeper
        if keeper is None:
            raise LoginLost("nothing of it has been saved")
        try:
            saved = await keeper.load(self._session_id)
        except LoginLost:
            if self._credentials is None:
                raise
        else:
            self._saved, self._written = saved.state, saved
            self._credentials = self._credentials or saved.credentials
        self.kept = True
        await self.recover()

    async def save(self) -> None:
        """Keep what has changed since the last time, if the page can be asked for it."""
        await self._save()

    async def bundle(self, outcome: str) -> str | None:
        """Keep the page's journal, and its screenshot and HTML if it still gives them.

        Returns the bundle's name; None when the disk does not take it.
        """
        context = self._equipment.contexts.get(self.context_id or "")
        page = None if context is None else context.page
        log = "\n".join((*(() if page is None else page.journal), outcome))
        html, png = await _portrait(page)
        try:
            return await self._equipment.bundles.write(png=png, html=html, log=log)
        except OSError as error:
            _LOG.warning("debug_bundle_not_kept", actor=self._owner.address, cause=str(error))
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
        try:
            self.context_id = await self._equipment.pool.ask(take, timeout_s=_TAKE_TIMEOUT_S)
        except (AskError, DeliveryError) as error:
            raise BrowserUnavailable(str(error)) from error
        return self._context()

    async def _through_crashes(self, work: Callable[[], Awaitable[None]]) -> None:
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
            if attempt == _GONE_TRIES - 1:
                self.give_back()  # the last try gets a context of its own
            # The pool hears of it a moment after the page does; until then it knows no better one.
            await trio.sleep(_GONE_PAUSE_S)

    async def _log_in_anew(self) -> None:
        context = await self._take()
        await self._portal_login(context)
        await self._save()

    async def _portal_login(self, context: Context) -> None:
        equipment, credentials = self._equipment, self._credentials
        assert credentials is not None  # noqa: S101 - given, or loaded before anything else
        captcha = _NotingSolver(
            equipment.captcha(credentials.captcha_api_key),
            lambda: equipment.note(self._session_id, "captcha.solved"),
        )
        await equipment.portal.login(context.page, credentials, captcha)
        self.logins += 1

    async def _reopen(self) -> None:
        context, left = await self._regain(), None
        if context is None:
            context, left = await self._take(), self._saved
            if left is not None:
                await context.restore(left)
        if await self._ensure_login(context) and left is not None:
            await self._return_to(left.url, context)

    async def _return_to(self, url: str, context: Context) -> None:
        """Open what the page showed last, unless there is no login to be seen there (any more)."""
        page = context.page
        if url == page.url or not url.startswith(("http://", "https://")):
            return
        try:
            await page.goto(url, timeout_s=_RETURN_TIMEOUT_S)
            if await self._equipment.portal.is_logged_in(page):
                return
        except BrowserGone:
            raise
        except PageError:
            pass  # it opens no more
        await self._ensure_login(context)

    async def _regain(self) -> Context | None:
        """A dropped socket is reattached: then the context is there, with its page."""
        if self.context_id is None:
            return None
        regain = RegainContext(context_id=self.context_id)
        try:
            there = await self._equipment.pool.ask(regain, timeout_s=_REGAIN_TIMEOUT_S)
        except (AskError, DeliveryError):
            return None  # whatever became of it, another one serves as well
        if not there:
            return None
        self.lost = False
        return self._equipment.contexts.get(self.context_id)

    async def _ensure_login(self, context: Context) -> bool:
        """Open the portal's page, and log in where that is needed; return whether it was not."""
        portal = self._equipment.portal
        await portal.refresh(context.page)
        kept = await portal.is_logged_in(context.page)
        if not kept:
            await self._portal_login(context)
        return kept

    async def _save(self) -> None:
        """Keep cookies and storage for a relaunch, and beyond the server; durable on return.

        Without them it logs in again, so a page that does not give them is no failure.
        """
        try:
            with trio.fail_after(_SAVE_TIMEOUT_S):
                self._saved = await self._context().save()
        except (PageError, trio.TooSlowError):
            return
        keeper, credentials = self._equipment.keeper, self._credentials
        if keeper is None or credentials is None:
            return
        saved = SavedSession(credentials=credentials, state=self._saved)
        if saved != self._written and await keeper.keep(self._session_id, saved):
            self._written, self.kept = saved, True


async def _portrait(page: Page | None) -> tuple[str | None, bytes | None]:
    """Return HTML and screenshot; None for what the page does not give (any more)."""
    html, png = None, None
    if page is not None:
        with suppress(PageError), trio.move_on_after(_SAVE_TIMEOUT_S):
            html = await page.html()
            png = await page.screenshot()
    return html, png


def told(error: Exception | None) -> BrowserSessionError:
    """Return what callers are told of an error that ended a step."""
    if isinstance(error, BrowserSessionError):
        return error
    return BrowserCrashed(None if error is None else str(error))


def again(error: DomainError | None) -> BrowserSessionError:
    """Return a fresh copy of an error that several callers are told.

    One exception object raised in many tasks would collect all their tracebacks.
    """
    if isinstance(error, BrowserSessionError):
        return type(error)(error.details, **error.fields)
    return BrowserCrashed()
