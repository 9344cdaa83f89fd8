"""E-Modal: the community portal of North American container terminals.

What is known of its pages stands here at the top; emodal_scripts.py asks them with it. The demo
portal (docs/demo.md) is built alike, so the same code runs against both.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from actors.browser.errors import (
    AuthenticationFailed,
    CaptchaFailed,
    LoginLost,
    NotAtPortal,
    OperationFailed,
    PortalUnreachable,
)
from actors.browser.page import NavigationFailed, Page, PageTimeout
from actors.browser.portals import emodal_scripts as scripts
from actors.browser.portals.portal import CaptchaSolver, Credentials, operation

_LOGIN_HOST: Final = "https://ecp2.emodal.com"
_PORTAL_HOST: Final = "https://truckerportal.emodal.com"

_AT: Final[dict[str, Any]] = {
    # The identity page.
    "identityPaths": ["/Account/Login", "signin-oidc", "/connect/"],
    "username": "#Username, input[name='Username']",
    "password": "#Password, input[name='Password']",
    "submit": "form button[type='submit'], form input[type='submit']",
    "refusal": ".validation-summary-errors, .alert-danger, .field-validation-error",
    "captcha": ".g-recaptcha[data-sitekey]",
    "captchaFrame": "iframe[src*='/recaptcha/'][src*='k=']",
    "captchaAnswer": "[name='g-recaptcha-response']",
    # Every page behind it.
    "user": "button[class*='user']",
    "busy": "mat-progress-bar, mat-progress-spinner, mat-spinner",
    "complaint": "mat-snack-bar-container, .mat-snack-bar-container",
    # The container table: the scroller loads more at its end, a row's details stand in the next.
    "scroller": "#searchres, [matinfinitescroll], .search-results",
    "row": "tbody tr, mat-row",
    "detail": "[class*='detail']",
    "expander": "[class*='expand'] button, button[class*='expand']",
    "expanded": ".expanded, [aria-expanded='true']",
    "closedIcons": ["keyboard_arrow_right", "expand_more"],
    "openIcons": ["keyboard_arrow_down", "expand_less"],
    "label": ".field-label",
    "value": ".field-data",
}

_PAGE_TIMEOUT_S: Final = 60.0
_SUBMIT_TIMEOUT_S: Final = 90.0
_TABLE_TIMEOUT_S: Final = 280.0
_GLANCE_TIMEOUT_S: Final = 5.0

# How the table is read, in milliseconds. Angular's table asks for more within 0.2 s of a scroll and
# shows a bar while it waits; so nothing happening for `quietMs` means that nothing more comes.
_PACE: Final = {
    "quietMs": 1500,
    "emptyMs": 15_000,  # before the first row, while the application itself still loads
    "stallMs": 90_000,  # a bar that runs for longer has been forgotten
    "settleMs": 250,
    "againMs": 3000,  # a click that did nothing came before the page listened
}


class ContainerNotFound(NotAtPortal):
    """The account's table has no such container."""

    error = "Container not found"


class GetBookingNumber(msgspec.Struct, frozen=True, kw_only=True):
    """What `get_booking_number` needs: the container's number, printable, up to 32 characters."""

    container_id: Annotated[
        str,
        # No control characters, no blank ends; `$` alone would let a line feed pass.
        msgspec.Meta(min_length=1, max_length=32, pattern=r"^[!-~]+( [!-~]+)*$(?!\n)"),
    ]
    debug: bool = False


class BookingNumber(msgspec.Struct, frozen=True, kw_only=True):
    """The booking that a container belongs to; None when it has none."""

    container_id: str
    booking_number: str | None


class Emodal:
    """The portal adapter; implements `Portal`.

    Args:
        base_url: where the site is instead of E-Modal's own hosts; all paths are under it.

    Raises:
        ValueError: `base_url` is not an http or https address.
    """

    name: ClassVar[str] = "emodal"

    def __init__(self, base_url: str | None = None) -> None:
        if base_url is not None:
            parts = urlsplit(base_url)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError(f"the portal's address must begin with http://, not {base_url!r}")
        login_host = (base_url or _LOGIN_HOST).rstrip("/")
        portal_host = (base_url or _PORTAL_HOST).rstrip("/")
        self._login_url = f"{login_host}/login"
        self._home_url = f"{portal_host}/containers"
        self._hosts = sorted({urlsplit(login_host).netloc, urlsplit(portal_host).netloc})

    @property
    def home_url(self) -> str:
        return self._home_url

    async def login(self, page: Page, credentials: Credentials, captcha: CaptchaSolver) -> None:
        await self._open(page, self._login_url)
        seen = await self._look(page, "the login form")
        if seen["state"] == "form":
            await self._submit(page, credentials, captcha, site_key=seen["siteKey"])
            seen = await self._look(page, "the answer to the login", timeout_s=_SUBMIT_TIMEOUT_S)
        if seen["state"] == "form":
            raise _refused(seen["refusal"])
        if not page.url.startswith(self._home_url):
            await self._open(page, self._home_url)
            if (await self._look(page, "the containers page"))["state"] != "in":
                raise PortalUnreachable("it asks for a login again right after one")

    async def is_logged_in(self, page: Page) -> bool:
        try:
            seen = await page.wait_until(
                scripts.LOGGED_IN,
                _AT,
                self._hosts,
                timeout_s=_GLANCE_TIMEOUT_S,
                what="a look at the page",
            )
        except PageTimeout:
            return False
        return bool(seen["in"])

    async def refresh(self, page: Page) -> None:
        await self._open(page, self._home_url)
        await self._look(page, "the containers page")

    @operation("get_booking_number", request=GetBookingNumber, answer=BookingNumber)
    async def get_booking_number(self, page: Page, request: GetBookingNumber) -> BookingNumber:
        """Read a container's booking number from its row in the portal's container table.

        The table is loaded afresh, so the answer is what the portal says now.

        Raises:
            ContainerNotFound: the account's table has no such container.
            LoginLost: the portal asks for a login.
            OperationFailed: the table does not load or does not expand.
            PortalUnreachable: the page cannot be opened.
        """
        container_id = request.container_id
        await self._open(page, self._home_url)
        seen = await page.wait_until(
            scripts.BOOKING,
            _AT,
            self._hosts,
            container_id,
            _PACE,
            timeout_s=_TABLE_TIMEOUT_S,
            what=f"the booking number of {container_id}",
        )
        match seen["state"]:
            case "read":
                return BookingNumber(container_id=container_id, booking_number=seen["booking"])
            case "end":
                raise ContainerNotFound(container_id=container_id)
            case "form":
                raise LoginLost("the portal asks for a login")
            case "broken":
                raise _broken(seen["status"])
            case "complaint":
                raise OperationFailed(f"the portal says: {seen['complaint']}")
            case _:
                raise OperationFailed("the container table stopped loading")

    async def _open(self, page: Page, url: str) -> None:
        try:
            status = await page.goto(url, timeout_s=_PAGE_TIMEOUT_S)
        except NavigationFailed as error:
            raise PortalUnreachable(f"{urlsplit(url).netloc}: {error.cause}") from error
        if status >= 400:
            raise _broken(status)

    async def _look(
        self, page: Page, what: str, *, timeout_s: float = _PAGE_TIMEOUT_S
    ) -> dict[str, Any]:
        """Return what the page shows, once that is either the portal or its login form."""
        try:
            seen: dict[str, Any] = await page.wait_until(
                scripts.LOOK, _AT, self._hosts, timeout_s=timeout_s, what=what
            )
        except PageTimeout as error:
            raise PortalUnreachable(f"{error}; the page is not the portal's") from error
        if seen["state"] == "broken":
            raise _broken(seen["status"])
        return seen

    async def _submit(
        self, page: Page, credentials: Credentials, captcha: CaptchaSolver, *, site_key: str | None
    ) -> None:
        await page.fill(_AT["username"], credentials.username)
        await page.fill(_AT["password"], credentials.password)
        token = None
        if site_key is not None:
            token = await captcha.solve(site_key=site_key, page_url=page.url)
        try:
            await page.wait_until(
                scripts.ANSWER, _AT, token, timeout_s=_PAGE_TIMEOUT_S, what="the captcha's field"
            )
            await page.click(_AT["submit"])
        except PageTimeout as error:
            if token is None:
                raise PortalUnreachable(f"{error}") from error
            raise CaptchaFailed("the portal's login button did not take the token") from error


def _refused(reason: str) -> AuthenticationFailed | CaptchaFailed | PortalUnreachable:
    """Return the error for a login form that came back; `reason` is what stands on it."""
    words = reason.lower()
    if "captcha" in words or "robot" in words:
        return CaptchaFailed(f"the portal says: {reason}")
    if "locked" in words or "disabled" in words:
        return AuthenticationFailed(reason)
    if "invalid" in words or "incorrect" in words or "password" in words:
        return AuthenticationFailed()
    return PortalUnreachable(f"it shows its login form again: {reason or 'without a reason'}")


def _broken(status: int) -> PortalUnreachable:
    return PortalUnreachable(f"it answered {status}" if status else "its page could not be opened")
