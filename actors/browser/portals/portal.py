"""The portal interface: adding a portal is adding one file beside this one.

Laws of this file: a portal knows its site and nothing else. It gets a `Page`, credentials and a
captcha solver, and never a session, a route or a clock. It keeps no state between calls: one portal
object serves every session at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from actors.browser.page import Page


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a login takes. Its repr names the user and hides the rest."""

    username: str
    password: str
    captcha_api_key: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class CaptchaSolver(Protocol):
    """Something that turns a reCAPTCHA v2 widget into a token."""

    async def solve(self, *, site_key: str, page_url: str) -> str:
        """Return the token for the widget.

        Raises:
            CaptchaFailed: refused, out of funds, unsolvable or too late; says which.
        """
        ...


class Portal(Protocol):
    """A site that Mooring keeps logins at.

    Args:
        base_url: where the site is instead of its own addresses (a staging copy, the demo).

    Raises:
        ValueError: the site cannot be at `base_url`.
    """

    name: ClassVar[str]

    def __init__(self, base_url: str | None = None) -> None: ...

    @property
    def home_url(self) -> str:
        """The page that a session rests on between operations."""
        ...

    async def login(self, page: Page, credentials: Credentials, captcha: CaptchaSolver) -> None:
        """Log in, and return once the portal shows that it worked.

        Raises:
            AuthenticationFailed: the portal says that user name or password is wrong.
            CaptchaFailed: no token, or the portal did not take it.
            PortalUnreachable: no answer, an error page, or a page that is not the portal's.
        """
        ...

    async def is_logged_in(self, page: Page) -> bool:
        """Tell from what the page shows now, without navigating."""
        ...

    async def refresh(self, page: Page) -> None:
        """Open the page that keeps the login alive.

        Raises:
            PortalUnreachable: it could not be opened.
        """
        ...


_Self = TypeVar("_Self")
_Request = TypeVar("_Request", bound=msgspec.Struct)
_Answer = TypeVar("_Answer", bound=msgspec.Struct)
_MARK = "_mooring_operation"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be done at a portal; becomes the route `POST /<name>`.

    Attributes:
        name: the route's name.
        request: what the route's body must hold beside session or credentials.
        answer: what it answers beside `success`, `session_id` and `is_new_session`.
        run: the bound method, called with the logged-in page and a decoded request.
    """

    name: str
    request: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    summary: str
    run: Callable[[Page, Any], Awaitable[msgspec.Struct]]


class _Mark(msgspec.Struct, frozen=True):
    name: str
    request: type[msgspec.Struct]
    answer: type[msgspec.Struct]


def operation(
    name: str, *, request: type[_Request], answer: type[_Answer]
) -> Callable[
    [Callable[[_Self, Page, _Request], Awaitable[_Answer]]],
    Callable[[_Self, Page, _Request], Awaitable[_Answer]],
]:
    """Mark a portal's method as an operation.

    The method gets a page that is logged in, alone, for at most `operation_timeout_s`; it may raise
    any `BrowserSessionError`. A `PageError` that leaves it becomes an `OperationFailed`.
    """

    def mark(
        method: Callable[[_Self, Page, _Request], Awaitable[_Answer]],
    ) -> Callable[[_Self, Page, _Request], Awaitable[_Answer]]:
        setattr(method, _MARK, _Mark(name, request, answer))
        return method

    return mark


def operations_of(portal: object) -> Mapping[str, Operation]:
    """Return the portal's operations by name, sorted."""
    found: dict[str, Operation] = {}
    for _, method in inspect.getmembers(portal, inspect.ismethod):
        mark: _Mark | None = getattr(method, _MARK, None)
        if mark is not None:
            summary = inspect.getdoc(method) or ""
            found[mark.name] = Operation(
                name=mark.name,
                request=mark.request,
                answer=mark.answer,
                summary=summary.partition("\n")[0],
                run=method,
            )
    return dict(sorted(found.items()))
