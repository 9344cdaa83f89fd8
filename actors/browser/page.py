"""What a portal may do with a browser, without knowing which library drives it.

Laws of this file: no pyppeteer, no CDP words. Every wait has a deadline; a call that is cancelled
or times out leaves the page usable for the next one. When the connection or the process goes away,
every pending and later call raises `BrowserGone` at once.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from engine.errors import MooringError


class PageError(MooringError):
    """The root of what a page can raise."""


class NavigationFailed(PageError):
    """The address could not be loaded; carries it and the cause."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(f"could not open {url}: {cause}")
        self.url = url
        self.cause = cause


class PageTimeout(PageError):
    """What was waited for did not come in time."""

    def __init__(self, what: str, timeout_s: float) -> None:
        super().__init__(f"{what} did not come within {timeout_s:g} s")
        self.what = what
        self.timeout_s = timeout_s


class ScriptFailed(PageError):
    """The page's own JavaScript threw."""


class BrowserGone(PageError):
    """The connection to Chromium, or Chromium itself, is gone."""


class Cookie(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A cookie as Chromium's `Storage.setCookies` takes it; HttpOnly ones included."""

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float | None = None
    http_only: bool = False
    secure: bool = False
    same_site: str | None = None
    partition_key: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Cookie({self.name!r}, domain={self.domain!r})"


class OriginStorage(msgspec.Struct, frozen=True, kw_only=True):
    """What one origin keeps in the browser."""

    origin: str
    local: dict[str, str]
    session: dict[str, str]

    def __repr__(self) -> str:
        return f"OriginStorage({self.origin!r})"


class BrowserState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a context needs to be itself again in another Chromium."""

    url: str
    cookies: tuple[Cookie, ...] = ()
    storage: tuple[OriginStorage, ...] = ()


class Page(Protocol):
    """One tab. Only one task may use it at a time."""

    @property
    def url(self) -> str:
        """The address that the tab shows now; kept up to date without asking the browser."""
        ...

    @property
    def journal(self) -> tuple[str, ...]:
        """The newest steps taken on this page, oldest first; never what was typed."""
        ...

    async def goto(self, url: str, *, timeout_s: float) -> int:
        """Open `url`, wait for its DOM to be ready, and return the HTTP status (0: has none).

        Raises:
            NavigationFailed: refused, unresolvable, or not answered within `timeout_s`.
        """
        ...

    async def evaluate(self, function: str, *args: Any) -> Any:
        """Call a JavaScript function (source text) in the page and return its JSON value.

        Raises:
            ScriptFailed: it threw, computed for too long, or the page was left meanwhile.
            PageTimeout: what it promised did not come within 10 s.
        """
        ...

    async def wait_until(self, function: str, *args: Any, timeout_s: float, what: str) -> Any:
        """Poll a JavaScript function until it returns something truthy, and return that.

        Survives navigations meanwhile. `what` names it in the `PageTimeout`.
        """
        ...

    async def wait_for(self, selector: str, *, timeout_s: float) -> None:
        """Wait until an element that matches the CSS `selector` is visible."""
        ...

    async def fill(self, selector: str, text: str) -> None:
        """Put `text` into the input that matches, as typing would (input and change events)."""
        ...

    async def click(self, selector: str) -> None:
        """Click the middle of the first visible element that matches."""
        ...

    async def html(self) -> str:
        """Return the document as it stands now."""
        ...

    async def screenshot(self) -> bytes:
        """Return a PNG of what the tab shows."""
        ...


class Context(Protocol):
    """An isolated browser profile with one page: what a session lives in."""

    @property
    def id(self) -> str:
        """Chromium's own id of the context; survives a reattach."""
        ...

    @property
    def page(self) -> Page: ...

    @property
    def popups_closed(self) -> int:
        """How many windows that a page opened were closed at once."""
        ...

    @property
    def dialogs_dismissed(self) -> int:
        """How many alerts, confirms, prompts and beforeunloads were dismissed."""
        ...

    async def save(self) -> BrowserState:
        """Return cookies (HttpOnly ones too), storage of the open page's origins, and the url."""
        ...

    async def restore(self, state: BrowserState) -> None:
        """Put cookies and storage back; opens none of the saved pages' servers."""
        ...


class Browser(Protocol):
    """A connection to one Chromium process."""

    async def open_context(self) -> Context: ...

    async def adopt_context(self, context_id: str) -> Context:
        """Take over a context that an earlier connection made, with its page.

        Raises:
            BrowserGone: there is no such context, or it has no page any more.
        """
        ...

    async def close_context(self, context_id: str) -> None:
        """Dispose of the context and its pages; one that is gone already is fine."""
        ...

    async def context_ids(self) -> tuple[str, ...]:
        """The contexts that exist in Chromium, whoever made them; not the default one."""
        ...

    async def ping(self) -> None:
        """Ask Chromium for its version: proof that it and the socket are alive."""
        ...

    async def wait_gone(self) -> None:
        """Return when the connection is lost, for whatever reason."""
        ...


class Connector(Protocol):
    """Opens a connection; the shipped one is `actors.browser.driver.connect`."""

    def __call__(self, endpoint: str) -> AbstractAsyncContextManager[Browser]: ...
